import base64
import json
import os
import time
import unittest
from pathlib import Path

from harness import admin, make_vpc
from test_functions import FunctionCase, zipped

LOCAL = Path(__file__).resolve().parents[2]
BEDROCK = "com.amazonaws.us-east-1.bedrock-runtime"
PUBLIC = "bedrock-runtime.us-east-1.amazonaws.com"

STREAM = zipped(
    index__mjs="""
    export const handler = awslambda.streamifyResponse(async (event, stream) => {
      for (const word of event.words) { stream.write(word); await new Promise((done) => setTimeout(done, event.pause)); }
      if (event.fail) throw new RangeError(event.fail);
      stream.end();
    });"""
)
# Reaches an address with TLS, like the SDK, and returns who answered.
REACH = zipped(
    index__mjs="""
    import tls from 'node:tls';
    export const handler = ({ host }) => new Promise((done) => {
      const socket = tls.connect({ host, port: 443, servername: host, ALPNProtocols: ['http/1.1'] }, () => {
        done({ authorized: socket.authorized, address: socket.remoteAddress }); socket.destroy();
      });
      socket.setTimeout(800, () => { done({ error: 'time-out' }); socket.destroy(); });
      socket.on('error', (error) => done({ error: error.code ?? error.message }));
    });"""
)


@unittest.skipUnless((LOCAL / "lambda" / "runtime.mjs").exists(), "needs tests/local/lambda/runtime.mjs")
class Invoke(FunctionCase):
    def invoke(self, event, **more):
        answer = self.functions.invoke(FunctionName=self.name, Payload=json.dumps(event), **more)
        return answer, json.loads(answer["Payload"].read() or "null")

    def test_runs_the_code(self):
        self.create()
        answer, payload = self.invoke({"a": [1]})
        self.assertEqual(payload, {"echo": {"a": [1]}})
        self.assertEqual((answer["StatusCode"], answer["ExecutedVersion"]), (200, "$LATEST"))
        self.assertNotIn("FunctionError", answer)

    def test_an_error_of_the_code(self):
        code = zipped(
            index__mjs="export const handler = async () => { console.log('about to'); throw new TypeError('oh') }"
        )
        self.create(Code={"ZipFile": code})
        answer, payload = self.invoke({}, LogType="Tail")
        self.assertEqual(answer["FunctionError"], "Unhandled")
        self.assertEqual((payload["errorType"], payload["errorMessage"]), ("TypeError", "oh"))
        self.assertIn("about to", base64.b64decode(answer["LogResult"]).decode())

    def test_the_environment(self):
        code = zipped(index__mjs="export const handler = async () => [process.env.MINE, process.env.AWS_REGION]")
        self.create(Code={"ZipFile": code}, Environment={"Variables": {"MINE": "m"}})
        self.assertEqual(self.invoke({})[1], ["m", "us-east-1"])

    def test_time_out(self):
        self.create(
            Code={
                "ZipFile": zipped(
                    index__mjs="export const handler = () => new Promise(() => setInterval(() => {}, 99))"
                )
            },
            Timeout=1,
        )
        answer, payload = self.invoke({})
        self.assertEqual((answer["FunctionError"], payload["errorType"]), ("Unhandled", "Sandbox.Timedout"))
        self.assertIn("Task timed out after 1.00 seconds", payload["errorMessage"])

    def test_streams_live(self):
        self.create(Code={"ZipFile": STREAM}, Timeout=20)
        started = time.monotonic()
        events = self.functions.invoke_with_response_stream(
            FunctionName=self.name, Payload=json.dumps({"words": ["one", "two", "three"], "pause": 150}), LogType="Tail"
        )["EventStream"]
        seen = [(time.monotonic() - started, event) for event in events]
        chunks = [(at, e["PayloadChunk"]["Payload"]) for at, e in seen if "PayloadChunk" in e]
        self.assertEqual(b"".join(payload for _, payload in chunks), b"onetwothree")
        self.assertGreater(chunks[-1][0] - chunks[0][0], 0.2)  # not all at once
        self.assertNotIn("ErrorCode", seen[-1][1]["InvokeComplete"])

    def test_a_stream_that_fails(self):
        self.create(Code={"ZipFile": STREAM})
        events = list(
            self.functions.invoke_with_response_stream(
                FunctionName=self.name, Payload=json.dumps({"words": ["one"], "pause": 1, "fail": "broken"})
            )["EventStream"]
        )
        complete = events[-1]["InvokeComplete"]
        self.assertEqual(complete["ErrorCode"], "Unhandled")
        self.assertIn("broken", complete["ErrorDetails"])

    def test_an_idle_function_fails_once_and_wakes(self):
        self.create()
        admin("PUT", "function", {"name": self.name, "state": "Inactive", "reasonCode": "Idle"})
        self.refused("ResourceNotReadyException", self.functions.invoke, FunctionName=self.name)
        self.assertEqual(self.invoke(1)[1], {"echo": 1})

    @unittest.skipUnless((LOCAL / "model" / "server.mjs").exists(), "needs tests/local/model/server.mjs")
    def test_the_path_is_open_exactly_as_the_groups_say(self):
        vpc = make_vpc()
        group, vpc_config = self.in_vpc(vpc)
        endpoints = self.ec2.create_security_group(GroupName="endpoints", Description="e", VpcId=vpc["vpcId"])[
            "GroupId"
        ]
        everything = [{"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}]
        self.ec2.revoke_security_group_egress(GroupId=group, IpPermissions=everything)
        self.create(Code={"ZipFile": REACH}, VpcConfig=vpc_config, Timeout=5)
        endpoint = self.ec2.create_vpc_endpoint(
            VpcId=vpc["vpcId"], ServiceName=BEDROCK, VpcEndpointType="Interface", SubnetIds=vpc["subnetIds"],
            SecurityGroupIds=[endpoints], PrivateDnsEnabled=False,
        )["VpcEndpoint"]  # fmt: skip
        name = endpoint["DnsEntries"][0]["DnsName"]
        addresses = {
            i["PrivateIpAddress"]
            for i in self.ec2.describe_network_interfaces(NetworkInterfaceIds=endpoint["NetworkInterfaceIds"])[
                "NetworkInterfaces"
            ]
        }

        def reach(host):
            return self.invoke({"host": host})[1]

        self.assertEqual(reach(name), {"error": "time-out"})
        pair = lambda other: [
            {"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443, "UserIdGroupPairs": [{"GroupId": other}]}
        ]
        self.ec2.authorize_security_group_egress(GroupId=group, IpPermissions=pair(endpoints))
        self.assertEqual(reach(name), {"error": "time-out"})
        self.ec2.authorize_security_group_ingress(GroupId=endpoints, IpPermissions=pair(group))
        reached = reach(name)
        self.assertTrue(reached.get("authorized"), reached)
        self.assertIn(reached["address"], addresses)
        self.assertEqual(reach(PUBLIC), {"error": "ENOTFOUND"})
        self.ec2.modify_vpc_endpoint(VpcEndpointId=endpoint["VpcEndpointId"], PrivateDnsEnabled=True)
        self.assertTrue(reach(PUBLIC).get("authorized"))
        open_now = admin("GET", f"reachable?function={self.name}")
        self.assertEqual((set(open_now["open"]), PUBLIC in open_now["hosts"]), (addresses, True))
        vpc = endpoint["VpcId"]
        self.assertEqual(admin("PUT", "vpc", {"id": vpc, "closed": True}), {"closed": [vpc]})
        self.assertEqual(admin("GET", f"reachable?function={self.name}")["open"], [])
        self.assertEqual(admin("PUT", "vpc", {"id": vpc, "closed": False}), {"closed": []})

    @unittest.skipUnless("PGAI_NODE_MODULES" in os.environ, "needs PGAI_NODE_MODULES")
    def test_the_sdk_of_the_runtime_is_found(self):
        code = zipped(
            index__mjs="import { BedrockRuntimeClient } from '@aws-sdk/client-bedrock-runtime'; export const handler = async () => typeof BedrockRuntimeClient"
        )
        self.create(Code={"ZipFile": code}, Timeout=10)
        self.assertEqual(self.invoke({})[1], "function")
