"""Judges signatures with botocore: verify.py KEY SECRET TOKEN, a line of JSON on standard input for each request."""

import hashlib
import json
import re
import sys

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

key, secret, token = sys.argv[1:]


class Judge(SigV4Auth):
    """Takes what is signed from the request, and its body as it is."""

    def headers_to_sign(self, request):
        from botocore.compat import HTTPHeaders

        headers = HTTPHeaders()
        for name in self.names:
            headers[name] = request.headers[name]
        return headers

    def payload(self, request):
        return hashlib.sha256(request.data).hexdigest()


good = True
for line in sys.stdin:
    seen = json.loads(line)
    match = re.fullmatch(
        r"AWS4-HMAC-SHA256 Credential=([^/]+)/(\d+)/([^/]+)/([^/]+)/aws4_request, ?SignedHeaders=([^,]+), ?Signature=([0-9a-f]{64})",
        seen["headers"]["authorization"],
    )
    who, _, region, service, names, signature = match.groups()
    request = AWSRequest("POST", seen["url"], headers=seen["headers"], data=bytes.fromhex(seen["body"]))
    request.context["timestamp"] = seen["headers"]["x-amz-date"]
    judge = Judge(Credentials(key, secret, token), service, region)
    judge.names = names.split(";")
    expected = judge.signature(judge.string_to_sign(request, judge.canonical_request(request)), request)
    right = expected == signature and who == key and seen["headers"].get("x-amz-security-token") == token
    good &= right and {"host", "x-amz-date"} <= set(judge.names)
    print("good" if right else "BAD", region, service)
sys.exit(0 if good else 1)
