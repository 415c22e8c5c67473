"""Whatever goes wrong, the answer is an error and nothing reaches the origin."""

from __future__ import annotations

import http.client
import json

import pytest
from promptward_workerd.process import Workerd

pytestmark = pytest.mark.workerd


def test_without_a_policy_everything_is_refused(workerd: Workerd) -> None:
    connection = http.client.HTTPConnection(workerd.host, workerd.port, timeout=30)
    connection.request("POST", "/v1/chat/completions", b"{}")
    answer = connection.getresponse()
    assert answer.status == 503
    assert json.loads(answer.read())["error"]["code"] == "no_policy"
    connection.close()
