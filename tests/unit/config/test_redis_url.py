from __future__ import annotations

import pytest

from singleton_service.background.config.redis_url import check_redis_url
from singleton_service.background.config.rules import RuleError


@pytest.mark.parametrize(
    "url",
    [
        "redis://",
        "redis://localhost",
        "redis://localhost:6379",
        "redis://localhost:6379/15",
        "redis://:secret@localhost/0",
        "redis://user:p%2Fw@[::1]:6379/0",
        "rediss://localhost?ssl_cert_reqs=none&ssl_check_hostname=false",
        "redis://localhost?db=3&client_name=me",
        "redis://localhost?socket_timeout=5&decode_responses=true",
        "unix:///run/redis.sock",
        "unix:///run/redis.sock?db=1",
        "unix://user:secret@/run/redis.sock",
    ],
)
def test_these_urls_can_be_used(url: str) -> None:
    assert check_redis_url(f" {url}\n") == url


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("localhost:6379", "starts with redis://"),
        ("http://localhost", "starts with redis://"),
        ("valkey://localhost", "Write redis://"),
        ("valkeys://localhost", "Write rediss://"),
        ("redis+sentinel://localhost:26379/mymaster", "not supported yet"),
        ("sentinel://localhost", "not supported yet"),
        ("redis-cluster://localhost", "not supported yet"),
        ("redis://a:7000,b:7000/0", "not supported yet"),
        ("redis://localhost:port", "HOST or HOST:PORT"),
        ("redis://localhost:99999", "HOST or HOST:PORT"),
        ("redis://localhost:0", "1 to 65535"),
        ("redis://:pa/ss@localhost:6379", "percent-encode"),
        ("redis://:pa#ss@localhost:6379", "percent-encode"),
        ("redis://[::1", "HOST or HOST:PORT"),
        ("redis://localhost/zero", "number of a database"),
        ("redis://localhost/-1", "number of a database"),
        ("redis://localhost?db=x", "number of a database"),
        ("redis://localhost?ssl_cert_reqs=none", "rediss://"),
        ("rediss://localhost?ssl_cert_req=none", "Did you mean 'ssl_cert_reqs'"),
        ("rediss://localhost?ssl_cert_reqs=CERT_NONE", "none, optional or required"),
        ("unix://run/redis.sock/", "absolute path"),
        ("unix://", "absolute path"),
    ],
)
def test_these_urls_are_refused_with_a_way_out(url: str, words: str) -> None:
    with pytest.raises(RuleError) as caught:
        check_redis_url(url)

    assert words in str(caught.value)
    assert caught.value.fix


def test_the_scheme_comes_out_in_small_letters() -> None:
    assert check_redis_url("REDIS://Host/0") == "redis://Host/0"
