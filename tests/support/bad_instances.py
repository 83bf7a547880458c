"""Scripts of instances that fail a request in one way each, and the requests to try them with."""

from tests.support.scripted_peer import OK, Script, Talk
from tests.support.stack import GET, POST

PUT_CHUNKED = b"PUT /a HTTP/1.1\r\nHost: orders\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n"
POST_CHUNKED = PUT_CHUNKED.replace(b"PUT", b"POST")
REQUESTS = {"GET": GET, "POST": POST, "PUT chunked": PUT_CHUNKED, "POST chunked": POST_CHUNKED}

UNAVAILABLE = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 4\r\n\r\nbusy"
BAD_GATEWAY = UNAVAILABLE.replace(b"503 Service Unavailable", b"502 Bad Gateway")
SERVER_ERROR = UNAVAILABLE.replace(b"503 Service Unavailable", b"500 Internal Server Error")


def once_then(then: Script) -> Script:
    """Answers one request well, so that the connection is reused; the second meets `then`."""

    async def script(talk: Talk) -> None:
        await talk.request()
        await talk.send(OK)
        await then(talk)

    return script


async def read_and_reset(talk: Talk) -> None:
    await talk.request()
    talk.reset()


async def read_and_close(talk: Talk) -> None:
    await talk.request()
    talk.close()


async def half_a_head_and_close(talk: Talk) -> None:
    await talk.request()
    await talk.send(b"HTTP/1.1 200 OK\r\nContent-Le")
    talk.close()


async def garbage(talk: Talk) -> None:
    await talk.request()
    await talk.send(b"SSH-2.0-OpenSSH_9.2\r\n\r\n")
    await talk.until_closed()


READ_THEN = {"reset": read_and_reset, "closed": read_and_close}
