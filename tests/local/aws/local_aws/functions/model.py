"""A function's record, and its form in the API."""

import uuid
from dataclasses import dataclass, field
from typing import Any

from ..ids import ACCOUNT, lambda_time


@dataclass
class Function:
    name: str
    region: str
    # The caller's configuration, in the API's own words: Role, Handler, Runtime, Timeout, MemorySize, …
    config: dict[str, Any]
    code_sha256: str
    code_size: int
    zip_bytes: bytes | None
    image_uri: str | None
    tags: dict[str, str]
    vpc: dict[str, Any] | None = None  # SubnetIds, SecurityGroupIds, VpcId
    state: str = "Pending"
    state_reason: tuple[str, str] | None = ("Creating", "The function is being created.")
    last_update: str = "InProgress"
    last_update_reason: tuple[str, str] | None = ("Creating", "The function is being created.")
    modified: str = field(default_factory=lambda_time)
    revision: str = field(default_factory=lambda: str(uuid.uuid4()))
    concurrency: int | None = None
    published: list[dict[str, Any]] = field(default_factory=list)  # versions, in the form of the API

    @property
    def arn(self) -> str:
        return f"arn:aws:lambda:{self.region}:{ACCOUNT}:function:{self.name}"

    @property
    def log_group(self) -> str:
        return self.config.get("LoggingConfig", {}).get("LogGroup") or f"/aws/lambda/{self.name}"

    def touch(self) -> None:
        self.modified, self.revision = lambda_time(), str(uuid.uuid4())

    def configuration(self, with_state: bool = True) -> dict[str, Any]:
        """FunctionConfiguration. ListFunctions leaves the state out: "to get it, use GetFunction"."""
        config = dict(self.config)
        shown = {
            "FunctionName": self.name,
            "FunctionArn": self.arn,
            "Version": "$LATEST",
            "CodeSha256": self.code_sha256,
            "CodeSize": self.code_size,
            "LastModified": self.modified,
            "RevisionId": self.revision,
            "VpcConfig": self.vpc or {"SubnetIds": [], "SecurityGroupIds": [], "VpcId": ""},
            **config,
            "LoggingConfig": {"LogFormat": "Text", **config.get("LoggingConfig", {}), "LogGroup": self.log_group},
            "SnapStart": {**config.get("SnapStart", {"ApplyOn": "None"}), "OptimizationStatus": "Off"},
        }
        if not self.vpc:
            del shown["VpcConfig"]
        if with_state:
            shown |= {"State": self.state, "LastUpdateStatus": self.last_update}
            if self.state_reason:
                shown["StateReasonCode"], shown["StateReason"] = self.state_reason
            if self.last_update_reason and self.last_update != "Successful":
                shown["LastUpdateStatusReasonCode"], shown["LastUpdateStatusReason"] = self.last_update_reason
        return shown

    def become_active(self) -> None:
        if self.state == "Pending":
            self.state, self.state_reason = "Active", None
            self.last_update, self.last_update_reason = "Successful", None

    def finish_update(self) -> None:
        if self.last_update == "InProgress":
            self.last_update, self.last_update_reason = "Successful", None
