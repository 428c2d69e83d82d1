"""What may come over a wire, each with the answer that docs/serve.md documents."""

import contextlib
import errno
import json
import select
import socket
import sys
import threading
import time

import httpx
import pytest
from hostile import huge_bmp
from hostile import png as empty_png
from serving import digits, png, read_answer, request, serving, tensor

INFER, PREDICT = "/v2/models/digits/infer", "/v2/models/digits/predict"
MIB = 1 << 20


@pytest.fixture(scope="module")
def strict(service, digits_run):
    """A service with little patience and little room; `service` says whether there can be one."""
    limits = ["--timeout", 3, "--max-connections", 1200, "--max-queue", 2, "--threads", 1]
    with serving(digits_run.path, *limits) as running:
        yield running


def still_answers(service):
    """Whether others are served, whatever has just been sent."""
    with service.client() as client:
        found = client.post(INFER, json={"inputs": [tensor(digits(1))]})
    return found.status_code == 200 and service.process.poll() is None


def test_a_body_that_says_it_is_too_long_is_refused_before_it_is_sent(service):
    status, found = service.ask(
        b"POST " + PREDICT.encode() + b" HTTP/1.1\r\nHost: localhost\r\n"
        b"Content-Length: 17000000\r\nExpect: 100-continue\r\n\r\n"
    )
    assert (status, found) == (413, {"error": "the body of a request has at most 16,777,216 bytes"})
    assert still_answers(service)


def test_a_client_that_sends_it_all_the_same_gets_to_read_why(service):
    with service.client() as client:
        answer = client.post(PREDICT, content=b"x" * (17 * MIB))
    assert answer.status_code == 413
    assert answer.headers["connection"] == "close"


def chunks(size, count):
    for _ in range(count):
        yield b"x" * size


def test_a_body_in_chunks_is_counted_while_it_comes(service):
    with service.client() as client:
        answer = client.post(PREDICT, content=chunks(MIB, 40))
        assert answer.status_code == 413
        fine = json.dumps({"inputs": [tensor(digits(1))]}).encode()
        assert client.post(INFER, content=iter([fine[:9], fine[9:]])).status_code == 200


def test_chunks_that_are_none_are_no_http(service):
    status, found = service.ask(
        b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"
    )
    assert (status, found) == (400, {"error": "this is no HTTP request"})
    two = service.ask(
        b"GET /v2 HTTP/1.1\r\nHost: localhost\r\nHost: other\r\nConnection: close\r\n\r\n"
    )
    assert two == (400, {"error": "a request has one Host"})
    both = request(PREDICT, b"x", "Transfer-Encoding: chunked")
    assert service.ask(both)[0] == 400
    assert service.ask(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n")[0] == 400


@pytest.mark.parametrize(
    "head",
    [
        b"GET /" + b"x" * 20_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 20_000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"X: y\r\n" * 9_000 + b"\r\n",
    ],
    ids=["a long line", "a long header", "many headers"],
)
def test_a_head_that_is_too_long_is_refused(service, head):
    status, found = service.ask(head)
    assert status == 431
    assert "at most 16,384 bytes" in found["error"]


def test_a_header_that_never_ends_is_not_kept(service):
    with service.connect() as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nX: ")
        with contextlib.suppress(OSError):  # the other side has closed
            for _ in range(2000):
                connection.sendall(b"x" * 4096)
                time.sleep(0)
        status, _ = read_answer(connection)
    assert status in (431, None)  # a reset may overtake the answer
    assert service.metric('lenet_dropped_connections_total{reason="long head"') >= 1
    assert still_answers(service)


def test_deep_json_is_refused(service):
    for body in (b"[" * 100_000, b'{"inputs":' * 50_000, b"[" * 900 + b"]" * 900):
        with service.client() as client:
            assert client.post(INFER, content=body).status_code == 400
    deep = b'{"inputs":[{"name":"images","shape":[1,1,28,28],"datatype":"UINT8","data":'
    with service.client() as client:
        answer = client.post(INFER, content=deep + b"[" * 900 + b"]" * 900 + b"}]}")
    assert answer.status_code == 400
    assert still_answers(service)


def test_much_json_is_refused(service):
    with service.client() as client:
        answer = client.post(INFER, content=b"[" + b"1," * (3 * MIB) + b"1]")
    assert answer.status_code == 413
    assert "send binary tensors" in answer.json()["error"]


def test_numbers_that_are_none_are_refused(service):
    one = tensor(digits(1))
    for value in ("1e999", "NaN", "1" * 400, "-1", "null", '"1"'):
        text = json.dumps({"inputs": [{**one, "data": ["?", *one["data"][1:]]}]})
        with service.client() as client:
            answer = client.post(INFER, content=text.replace('"?"', value))
        assert answer.status_code in (400, 422), (value, answer.text)


@pytest.mark.parametrize("make", [lambda: empty_png(10_000, 10_000), huge_bmp], ids=["PNG", "BMP"])
def test_a_small_file_of_many_pixels_is_refused_before_it_is_decoded(service, make):
    before = service.memory()[1]
    with service.client() as client:
        answer = client.post(PREDICT, content=make())
    assert answer.status_code == 422
    assert "too many" in answer.json()["error"]
    assert service.memory()[1] - before < 64


def test_a_foreign_host_is_refused(service):
    with service.client() as client:
        for host in ("evil.example", "localhost.evil.example", "evil.example:8000", "", "[::1"):
            answer = client.get("/v2", headers={"host": host})
            assert answer.status_code == 421, host
            assert "--allow-host" in answer.json()["error"]
        for host in ("localhost", "LOCALHOST:99", "127.0.0.1:8000", "[::1]:8000", "192.168.0.7"):
            assert client.get("/v2", headers={"host": host}).status_code == 200
    assert service.ask(b"GET /v2 HTTP/1.1\r\nConnection: close\r\n\r\n")[0] == 400
    assert service.ask(b"GET /v2 HTTP/1.0\r\n\r\n")[0] == 200


def test_no_page_of_another_origin_may_read_answers(service):
    with service.client() as client:
        asked = {"origin": "https://evil.example", "access-control-request-method": "POST"}
        assert client.options(INFER, headers=asked).status_code == 405
        answer = client.get("/v2", headers=asked)
    assert not [name for name in answer.headers if name.startswith("access-control")]


def test_with_a_token_nothing_but_the_probes_is_answered_without_it(service, digits_run):
    token = "a-token-of-some-length"  # noqa: S105 - of this test
    words = ["--allow-host", "lenet.example", "--cors", "https://page.example"]
    with serving(digits_run.path, *words, env={"LENET_TOKEN": token}) as guarded:
        with guarded.client() as client:
            for sent in ("", "Bearer", "Bearer wrong-token-of-length", f"Basic {token}"):
                for path in ("/v2", "/metrics", "/openapi.json", "/nothing", "/"):
                    answer = client.get(path, headers={"authorization": sent})
                    assert answer.status_code == 401, (sent, path)
                    assert answer.headers["www-authenticate"] == "Bearer"
            right = {"authorization": f"Bearer {token}", "host": "lenet.example"}
            assert client.get("/v2", headers=right).status_code == 200
            assert client.get("/v2/health/live").status_code == 200
            assert client.get("/v2/health/ready").status_code == 200
            page = {"origin": "https://page.example"}
            before = client.options("/v2", headers={**page, "access-control-request-method": "GET"})
            assert before.status_code == 204
            assert "authorization" in before.headers["access-control-allow-headers"]
            origins = before.headers.get_list("access-control-allow-origin")
            assert origins == ["https://page.example"]  # twice is none, for a browser
            assert not {"content-length", "content-type"} & before.headers.keys()
            answer = client.get("/v2", headers={**right, **page})
            assert answer.headers["access-control-allow-origin"] == "https://page.example"
            other = client.get("/v2", headers={**right, "origin": "https://evil.example"})
            assert "access-control-allow-origin" not in other.headers
        assert token not in "".join(guarded.lines)


def test_who_sends_slowly_is_dropped_while_others_are_served(strict):
    slow = [strict.connect() for _ in range(3)]
    slow[0].sendall(b"POST / HTT")
    slow[1].sendall(request(PREDICT, b"x" * 100)[:-50])
    slow[2].sendall(b"POST " + PREDICT.encode() + b" HTTP/1.1\r\nHost: localhost\r\n")
    assert still_answers(strict)
    answers = [read_answer(connection) for connection in slow]
    for connection in slow:
        connection.close()
    assert [status for status, _ in answers] == [408, 408, 408]
    assert "no whole body within 3 seconds" in answers[1][1]["error"]
    assert still_answers(strict)


def wait_for_metric(service, name, more_than):
    end = time.monotonic() + 30
    while service.metric(name) <= more_than:
        assert time.monotonic() < end, f"{name} stays {more_than}"
        time.sleep(0.2)


def test_who_does_not_read_is_dropped_and_nothing_grows(strict):
    name = 'lenet_dropped_connections_total{reason="slow to read"'
    answered = 'lenet_requests_total{route="/v2/models/{model}/predict",status="200"}'
    before, dropped = strict.memory()[0], strict.metric(name)
    one = request(f"{PREDICT}?explain=1", png(digits(1)[0])).replace(b"Connection: close\r\n", b"")
    with strict.connect() as connection:
        connection.settimeout(1)
        # Answers of 85 KB each, until the buffers of the system between the two are full.
        with contextlib.suppress(OSError):
            for _ in range(40):
                count = strict.metric(answered)
                connection.sendall(one * 10)
                end = time.monotonic() + 1
                while strict.metric(answered) < count + 10 and time.monotonic() < end:
                    time.sleep(0.05)
        wait_for_metric(strict, name, dropped)
    assert strict.memory()[0] - before < 64
    assert still_answers(strict)


def test_who_sends_too_many_requests_ahead_is_dropped(strict):
    name = 'lenet_dropped_connections_total{reason="too many at once"'
    before, dropped = strict.memory()[0], strict.metric(name)
    with strict.connect() as connection:
        with contextlib.suppress(OSError):  # the other side has closed
            for _ in range(100):
                connection.sendall(b"GET /v2 HTTP/1.1\r\nHost: localhost\r\n\r\n" * 200)
        wait_for_metric(strict, name, dropped)
    assert strict.memory()[0] - before < 64
    assert still_answers(strict)


@contextlib.contextmanager
def connected(service, count):
    """So many connections, over which nothing is sent."""
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(service.connect()) for _ in range(count)]


def test_a_thousand_idle_connections_are_served_around_and_then_closed(strict):
    with connected(strict, 1000) as idle:
        assert still_answers(strict)
        assert strict.metric("lenet_connections ") > 1000
        for connection in idle:
            assert connection.recv(1) == b""  # closed, after three seconds without a request
    assert still_answers(strict)


def test_beyond_the_limit_the_longest_idle_connection_makes_room(strict):
    with connected(strict, 1300):
        assert still_answers(strict)
        assert strict.metric('lenet_dropped_connections_total{reason="made room"') >= 100


def test_a_client_that_goes_leaves_nothing_behind(service):
    for _ in range(50):
        with service.connect() as connection:
            connection.sendall(request(PREDICT, b"x" * 1000)[:-500])  # half a body
        with service.connect() as connection:
            connection.sendall(request(PREDICT, png(digits(1)[0])))  # and no ear for the answer
    end = time.monotonic() + 20
    while service.metric("lenet_bodies_bytes") or service.metric("lenet_queue "):
        assert time.monotonic() < end, "bodies or work of clients that are gone stay"
        time.sleep(0.1)
    assert service.metric('lenet_dropped_connections_total{reason="client gone"') >= 1
    assert still_answers(service)


@pytest.fixture(scope="module")
def large_png():
    """A picture just within the limit: a worker has to do with it for a while."""
    return empty_png(3900, 3900)


def test_the_event_loop_waits_for_no_decoder_and_a_full_queue_is_said(strict, large_png):
    with contextlib.ExitStack() as stack:
        waiting = [stack.enter_context(strict.connect()) for _ in range(12)]
        for connection in waiting:
            connection.sendall(request(PREDICT, large_png))
        with strict.client() as client:
            assert client.get("/v2/health/live").status_code == 200
            assert client.post(INFER, json={"inputs": [tensor(digits(1))]}).status_code == 200
        answers = [read_answer(connection) for connection in waiting]
    statuses = [status for status, _ in answers]
    assert set(statuses) <= {422, 429, 503}  # blank, for what was decoded
    assert statuses.count(429) >= 8
    assert "2 requests are waiting already" in answers[statuses.index(429)][1]["error"]
    assert still_answers(strict)


def test_a_full_queue_says_when_to_come_again(strict, large_png):
    with contextlib.ExitStack() as stack:
        waiting = [stack.enter_context(strict.connect()) for _ in range(6)]
        for connection in waiting:
            connection.sendall(request(PREDICT, large_png))
        contents = [b"".join(iter(lambda c=c: c.recv(65536), b"")) for c in waiting]
    refused = [each for each in contents if b" 429 " in each[:20]]
    assert refused
    assert all(b"retry-after: 1\r\n" in each for each in refused)


def test_an_answer_that_takes_too_long_is_given_up(service, digits_run, large_png):
    with (
        serving(digits_run.path, "--timeout", 0.1, "--threads", 1) as hasty,
        hasty.client() as client,
    ):
        answers = [client.post(PREDICT, content=large_png) for _ in range(3)]
        late = [each for each in answers if each.status_code == 503]
        assert late
        assert "no answer within 0.1 seconds" in late[0].json()["error"]
        assert late[0].headers["retry-after"] == "1"


SEVERAL = pytest.param(
    ["--processes", 2],
    marks=pytest.mark.skipif(sys.platform != "linux", reason="they are for Linux: run it there"),
)


@pytest.mark.parametrize("words", [[], SEVERAL], ids=["one process", "several"])
def test_sigterm_under_load_loses_no_request_and_ends_with_0(service, digits_run, words):
    from lenet.serve.running import LULL_SECONDS

    body = json.dumps({"inputs": [tensor(digits(1))]}).encode()
    picture = png(digits(1)[0])
    counts, lost = {"answered": 0, "refused": 0}, []
    turn, ending = threading.Lock(), threading.Event()

    def ask(running, number):
        """Until nobody listens; what was sent must be answered, and a new connection may not be."""
        while not lost:
            try:
                connection = running.connect()
            except ConnectionRefusedError:
                with turn:
                    counts["refused"] += 1
                return
            except ConnectionResetError:  # it was in no hand yet when the listening ended
                continue
            with connection:
                connected = time.monotonic()
                for turns in range(5):
                    path, content = (PREDICT, picture) if number % 2 else (INFER, body)
                    head = request(path, content).replace(b"Connection: close\r\n", b"")
                    waited = time.monotonic() - connected
                    try:
                        connection.sendall(head)
                        answer = read_one(connection)
                    except ConnectionResetError as error:
                        # Who says nothing for so long after connecting may find the service gone.
                        late = turns == 0 and waited > LULL_SECONDS
                        answer = b"" if late else repr(error).encode()
                    except OSError as error:
                        answer = repr(error).encode()
                    if b" 200 " not in answer[:20]:
                        if turns or not ending.is_set() or answer:
                            lost.append((turns, answer[:200]))
                        break
                    with turn:
                        counts["answered"] += 1
                    if b"connection: close" in answer:
                        break

    with serving(digits_run.path, "--drain", 2, *words) as running:
        threads = [threading.Thread(target=ask, args=(running, number)) for number in range(8)]
        for thread in threads:
            thread.start()
        time.sleep(1)
        ending.set()
        running.process.terminate()
        running.wait_for("ending: what is in flight is answered")
        statuses = set()
        with contextlib.suppress(httpx.TransportError):
            while not statuses:  # one of several may hear of it later than the others
                with running.client() as client:
                    answer = client.get("/v2/health/ready")
                if answer.status_code != 200:
                    statuses.add((answer.status_code, answer.headers["retry-after"]))
        for thread in threads:
            thread.join(60)
        assert running.process.wait(timeout=60) == 0
    assert lost == []
    assert statuses == {(503, "1")}
    assert counts["answered"] > 50
    assert counts["refused"] == 8


@pytest.mark.skipif(sys.platform != "linux", reason="a filter of Linux: run it there")
def test_who_connects_at_the_end_of_listening_is_refused_and_not_reset(service):
    from lenet.serve.running import _take_no_more

    with socket.create_server(("127.0.0.1", 0)) as listening, socket.socket() as late:
        with socket.create_connection(listening.getsockname()) as early:
            early.sendall(b"first words")
            _take_no_more(listening)
            late.setblocking(False)
            assert late.connect_ex(listening.getsockname()) == errno.EINPROGRESS
            early.sendall(b", and more")
            taken = listening.accept()[0]
            with taken:
                assert taken.recv(100) == b"first words, and more"
        assert select.select([], [late], [], 0.2)[1] == []
        listening.close()
        assert select.select([], [late], [], 30)[1] == [late]
        assert late.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == errno.ECONNREFUSED


def read_one(connection):
    """One answer, its body by its length."""
    content = b""
    while b"\r\n\r\n" not in content:
        piece = connection.recv(65536)
        if not piece:
            return content
        content += piece
    head, _, rest = content.partition(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
    while len(rest) < length:
        piece = connection.recv(65536)
        if not piece:
            return b""
        rest += piece
    return head
