"""Names and numbers that AWS generates."""

import secrets
import string
import time

ACCOUNT = "123456789012"


def hex_id(prefix: str) -> str:
    return f"{prefix}-{secrets.token_hex(9)[:17]}"


def short_label() -> str:
    """The random label in an endpoint's DNS names: vpce-0123-LABEL.bedrock-runtime.…"""
    return "".join(secrets.choice(string.ascii_lowercase + string.digits) for _ in range(8))


def lambda_time() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S.000+0000", time.gmtime())
