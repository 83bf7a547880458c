"""One request through the whole data path, on the wire."""

from tests.support.scripted_peer import ScriptedPeer, closed_port, connected

GET = b"GET /a HTTP/1.1\r\nHost: orders\r\n\r\n"


async def test_a_get_is_answered(stack) -> None:
    async with ScriptedPeer() as peer:
        proxy = stack()
        await proxy.open(peer.port)
        async with connected(proxy.port) as app:
            for _ in range(3):
                await app.send(GET)
                head = await app.head()
                assert head.startswith(b"HTTP/1.1 200 OK\r\n")
                assert await app.body(head) == b"ok"
        assert len(peer.talks) == 1


async def test_a_refused_post_goes_elsewhere(stack) -> None:
    async with ScriptedPeer() as peer:
        proxy = stack()
        await proxy.open(closed_port(), peer.port)
        async with connected(proxy.port) as app:
            for n in range(3):
                await app.send(b"POST /a HTTP/1.1\r\nHost: orders\r\nContent-Length: 3\r\n\r\nabc")
                head = await app.head()
                assert head.startswith(b"HTTP/1.1 200 OK\r\n")
                assert await app.body(head) == b"ok"
        assert len(peer.requests) == 3
        print(proxy.records)
