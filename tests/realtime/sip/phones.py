"""A telephone made of a UDP socket, whose every word the test chooses; and an agent that runs for the test."""

from __future__ import annotations

import asyncio
import functools
import itertools
import socket
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

from aiosipua.headers import parse_address, parse_cseq
from aiosipua.message import SipMessage, SipRequest, SipResponse

from realtime.voip.exchange import Exchange
from realtime.voip.sip.agent import Agent
from realtime.voip.sip.desk import Desk
from realtime.voip.sip.media import Switchboard
from realtime.voip.sip.settings import SipSettings
from realtime.voip.sip.transaction import Timers

#: A network whose longest round trip is a twentieth of a telephone's, so that nothing takes long to be given up.
FAST = Timers(t1_s=0.05, t2_s=0.2, t4_s=0.2)

SDP = (
    "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
    "m=audio 40000 RTP/AVP 0 101\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:101 telephone-event/8000\r\n{}"
)
_numbers = itertools.count(1)


class Phone:
    """One end of the wire. It says only what it is told to, and keeps what it heard."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.setblocking(False)
        self.port = self.socket.getsockname()[1]
        self.peer = ("127.0.0.1", 0)
        self.heard: list[SipRequest | SipResponse] = []

    @property
    def uri(self) -> str:
        return f"sip:{self.name}@127.0.0.1:{self.port}"

    def say(self, message: SipRequest | SipResponse | bytes) -> None:
        self.socket.sendto(bytes(message), self.peer)

    async def next(self, seconds: float = 2.0) -> SipRequest | SipResponse:
        """Whatever comes."""
        data, self.peer = await asyncio.wait_for(asyncio.get_running_loop().sock_recvfrom(self.socket, 65_536), seconds)
        self.heard.append(SipMessage.parse(data))
        return self.heard[-1]

    async def response(self, code: int, method: str = "", seconds: float = 2.0) -> SipResponse:
        """The next response with *code*; what comes before it is passed over."""
        while True:
            message = await self.next(seconds)
            if not isinstance(message, SipResponse) or message.status_code != code:
                continue
            if method == "" or parse_cseq(message.headers.get("cseq")[0]).method == method:
                return message

    async def request(self, method: str, seconds: float = 2.0) -> SipRequest:
        """The next request of *method*; what comes before it is passed over."""
        while True:
            message = await self.next(seconds)
            if isinstance(message, SipRequest) and message.method == method:
                return message

    async def silence(self, seconds: float) -> list[SipRequest | SipResponse]:
        """All that comes in *seconds*."""
        before = len(self.heard)
        with_limit = asyncio.get_running_loop().time() + seconds
        while (left := with_limit - asyncio.get_running_loop().time()) > 0:
            try:
                await self.next(left)
            except TimeoutError:
                break
        return self.heard[before:]

    def make(self, method: str, to: str, body: str = "", **headers: str) -> SipRequest:
        """A request outside of any dialog."""
        number = next(_numbers)
        request = SipRequest(method=method, uri=to)
        values = {
            "Via": f"SIP/2.0/UDP 127.0.0.1:{self.port};branch=z9hG4bKtest{number};rport",
            "From": f"<{self.uri}>;tag=from{number}",
            "To": f"<{to}>",
            "Call-ID": f"call{number}@test",
            "CSeq": f"1 {method}",
            "Contact": f"<{self.uri}>",
            "Max-Forwards": "70",
        }
        if body:
            values["Content-Type"] = "application/sdp"
        values |= {name.replace("_", "-"): value for name, value in headers.items()}
        for name, value in values.items():
            if value:
                request.headers.append(name, value)
        request.text = body
        return request

    def invite(self, to: str, body: str = SDP.format(""), **headers: str) -> SipRequest:
        return self.make("INVITE", to, body, **headers)

    def within(self, method: str, first: SipRequest, answer: SipResponse, number: int, body: str = "") -> SipRequest:
        """A request of the caller within the dialog that *first* and *answer* made."""
        return self.make(
            method,
            parse_target(answer),
            body,
            From=first.headers.get("from")[0],
            To=answer.headers.get("to")[0],
            Call_ID=first.headers.get("call-id")[0],
            CSeq=f"{number} {method}",
        )

    def ask(self, method: str, asked: SipRequest, tag: str, number: int, body: str = "", **headers: str) -> SipRequest:
        """A request of the callee within the dialog that the INVITE *asked* made with its *tag*."""
        return self.make(
            method,
            parse_target(asked),
            body,
            From=f"{asked.headers.get('to')[0]};tag={tag}",
            To=asked.headers.get("from")[0],
            Call_ID=asked.headers.get("call-id")[0],
            CSeq=f"{number} {method}",
            **headers,
        )

    def reply(self, request: SipRequest, code: int, body: str = "", tag: str = "callee", **headers: str) -> None:
        """Answer *request*."""
        response = SipResponse(status_code=code, reason_phrase="Said")
        for name in ("Via", "From", "To", "Call-ID", "CSeq"):
            for value in request.headers.get(name):
                response.headers.append(name, value)
        if parse_address(request.headers.get("to")[0]).tag is None and code > 100:
            response.headers.set_single("To", f"{request.headers.get('to')[0]};tag={tag}")
        response.headers.set_single("Contact", f"<{self.uri}>")
        for name, value in headers.items():
            response.headers.set_single(name.replace("_", "-"), value)
        if body:
            response.text = body
            response.headers.set_single("Content-Type", "application/sdp")
        self.say(response)

    async def call(self, to: str, body: str = SDP.format(""), **headers: str) -> tuple[SipRequest, SipResponse]:
        """An INVITE that is answered and acknowledged, and its answer."""
        invite = self.invite(to, body, **headers)
        self.say(invite)
        answer = await self.response(200, "INVITE")
        self.say(self.within("ACK", invite, answer, 1))
        return invite, answer

    def cancel(self, invite: SipRequest) -> None:
        """Take *invite* back."""
        cancel = self.make("CANCEL", invite.uri, CSeq="1 CANCEL", Contact="")
        for name in ("Via", "From", "To", "Call-ID"):
            cancel.headers.set_single(name, invite.headers.get(name)[0])
        self.say(cancel)

    async def hang_up(self, invite: SipRequest, answer: SipResponse, number: int = 2) -> None:
        """BYE, and its answer."""
        self.say(self.within("BYE", invite, answer, number))
        await self.response(200, "BYE")

    def close(self) -> None:
        self.socket.close()

    def __enter__(self) -> Phone:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()


def parse_target(message: SipRequest | SipResponse) -> str:
    value = message.headers.get("contact")[0]
    return value[value.index("<") + 1 : value.index(">")]


class Running:
    """An agent at *port*."""

    def __init__(self, agent: Agent, desk: Desk, places: list[str], said: list[str]) -> None:
        self.agent = agent
        self.desk = desk
        self.said = said
        self.port = int(places[0].rpartition(":")[2])
        self.tcp_port = int(places[-1].rpartition(":")[2])
        self.uri = f"sip:bob@127.0.0.1:{self.port}"


@asynccontextmanager
async def agent(*phones: Phone, timers: Timers = FAST, **settings: Any) -> AsyncIterator[Running]:
    """A real agent on loopback whose media goes nowhere: what is tested is what it says."""
    rates = {"calls_per_second": 1000.0, "messages_per_second": 10_000.0}
    values = {"listen": ["127.0.0.1:0"], "model": "none"} | rates | settings
    checked = SipSettings.model_validate(values)
    said: list[str] = []
    exchange = Exchange(checked.model, 4)
    one = Agent(checked, Switchboard(exchange), timers)
    desk = Desk(one, checked, said.append)
    running = Running(one, desk, await one.start(), said)
    for phone in phones:
        phone.peer = ("127.0.0.1", running.port)
    try:
        yield running
        assert one.counters.faults == 0
    finally:
        desk.hang_up_all("end of test")
        await one.close()
        exchange.close()


@asynccontextmanager
async def answering(**settings: Any) -> AsyncIterator[tuple[Phone, Running]]:
    """Alice, and an agent that answers her; with echo, where *settings* wish nothing else."""
    with Phone("alice") as alice:
        async with agent(alice, **{"answer": "echo"} | settings) as running:
            yield alice, running


@asynccontextmanager
async def bridged(**settings: Any) -> AsyncIterator[tuple[Phone, Phone, Running]]:
    """Alice, Bob, and an agent through which she can reach him."""
    with Phone("alice") as alice, Phone("bob") as bob:
        async with agent(alice, bridge_to=bob.uri, **settings) as running:
            yield alice, bob, running


def in_time(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Run *test* in a loop of its own, and fail where it does not end."""

    @functools.wraps(test)
    def run(*arguments: Any, **named: Any) -> None:
        asyncio.run(asyncio.wait_for(test(*arguments, **named), 120.0))

    return run


async def up(caller: Phone, callee: Phone, to: str, **headers: str) -> tuple[SipRequest, SipResponse, SipRequest]:
    """A bridged call that both have acknowledged: the caller's INVITE, its answer, the INVITE of the callee."""
    invite = caller.invite(to, **headers)
    caller.say(invite)
    asked = await callee.request("INVITE")
    callee.reply(asked, 200, SDP.format(""), Allow="INVITE, ACK, BYE, UPDATE")
    await callee.request("ACK")
    answer = await caller.response(200, "INVITE")
    caller.say(caller.within("ACK", invite, answer, 1))
    return invite, answer, asked
