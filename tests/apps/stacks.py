"""The four eras of Spring Cloud that the apps are built for; one source, other jars.

From the first two Ribbon chooses the instance, from the others Spring Cloud LoadBalancer; the client of `a1` speaks
HTTP to Nacos and sends heartbeats, the others speak gRPC.
"""

import enum
from dataclasses import dataclass
from pathlib import Path

from tests.support.java import JavaProgram

_FOLDER = Path(__file__).parent / "java"


class Balancer(enum.Enum):
    """Who chooses the instance inside the app."""

    RIBBON = "Ribbon"
    LOADBALANCER = "LoadBalancer"


@dataclass(frozen=True)
class Stack:
    """One era; `boot`, `cloud` and `alibaba` are versions of Spring Boot, Spring Cloud and Spring Cloud Alibaba."""

    id: str
    boot: str
    cloud: str
    alibaba: str
    client: str
    """Version of nacos-client that these bring."""
    balancer: Balancer
    release: str = "8"
    """Of Java, for which it is compiled."""

    def __str__(self) -> str:
        return (
            f"{self.id}: Spring Boot {self.boot}, Spring Cloud {self.cloud}, Spring Cloud Alibaba {self.alibaba}, "
            f"nacos-client {self.client}, {self.balancer.value}"
        )

    @property
    def provider(self) -> JavaProgram:
        return self._program("provider.Provider")

    @property
    def consumer(self) -> JavaProgram:
        return self._program("consumer.Consumer")

    def _program(self, main: str) -> JavaProgram:
        asked_for = ("-Dbalancer",) if self.balancer is Balancer.LOADBALANCER else ()
        return JavaProgram(
            f"app-{self.id}",
            main=main,
            folder=_FOLDER,
            maven=(f"-Dboot={self.boot}", f"-Dcloud={self.cloud}", f"-Dalibaba={self.alibaba}", *asked_for),
            javac=("--release", self.release, "-parameters"),
        )


A = Stack("a", "2.3.12.RELEASE", "Hoxton.SR12", "2.2.9.RELEASE", "2.1.0", Balancer.RIBBON)
A1 = Stack("a1", "2.3.12.RELEASE", "Hoxton.SR12", "2.2.6.RELEASE", "1.4.2", Balancer.RIBBON)
B = Stack("b", "2.7.18", "2021.0.9", "2021.0.5.0", "2.2.0", Balancer.LOADBALANCER)
B3 = Stack("b3", "3.2.12", "2023.0.5", "2023.0.3.2", "2.4.2", Balancer.LOADBALANCER, release="17")

STACKS = (A, A1, B, B3)
