"""Checks signatures with botocore's own code. Reads a request as JSON from each line of the standard input, and writes a line:
empty if it is signed with the secret that comes along, else what differs.
"""

import base64
import hashlib
import json
import re
import sys

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.compat import HTTPHeaders

AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=([^/]+)/(\d{8})/([^/]+)/([^/]+)/aws4_request, ?SignedHeaders=([^,]+), ?Signature=([0-9a-f]{64})$"
)


class Verifier(SigV4Auth):
    """Signs the fields that the sender has signed, and the body that arrived."""

    def __init__(self, credentials, service, region, signed, body):
        super().__init__(credentials, service, region)
        self.signed, self.body = signed, body

    def headers_to_sign(self, request):
        headers = HTTPHeaders()
        for name in self.signed:
            values = request.headers.get_all(name)
            if values is None:
                raise ValueError(f"the signed field {name} has not arrived")
            for value in values:
                headers[name] = value
        return headers

    def payload(self, request):
        return hashlib.sha256(self.body).hexdigest()


def difference(line):
    body = base64.b64decode(line["body"])
    request = AWSRequest(method=line["method"], url=line["url"], data=body)
    for name, value in line["headers"]:
        request.headers.add_header(name, value)
    parts = AUTHORIZATION.match(request.headers.get("authorization", ""))
    if parts is None:
        return "there is no signature of version 4"
    key, date, region, service, signed, signature = parts.groups()
    time = request.headers.get("x-amz-date", "")
    if not time.startswith(date):
        return f"the scope is of {date}, the request of {time}"
    signed = signed.split(";")
    token = line["token"]
    for name in ["host", "x-amz-date"] + (["x-amz-security-token"] if token else []):
        if name not in signed:
            return f"{name} is not signed"
    request.context["timestamp"] = time
    verifier = Verifier(Credentials(key, line["secret"], token), service, region, signed, body)
    canonical = verifier.canonical_request(request)
    expected = verifier.signature(verifier.string_to_sign(request, canonical), request)
    if expected != signature:
        return f"the signature is {signature} instead of {expected}, of {canonical!r}"
    return ""


for text in sys.stdin:
    try:
        answer = difference(json.loads(text))
    except Exception as error:
        answer = f"{type(error).__name__}: {error}"
    print(answer.replace("\n", "\\n"), flush=True)
