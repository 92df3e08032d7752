"""The emergency stop of :class:`rfx.go2.Go2`: damping at once, and nothing else until it is reset."""

import abc
import contextlib
import threading
from typing import Any

from rfx.errors import InvalidStateError
from rfx.go2 import topics
from rfx.go2.order import Order
from rfx.go2.sender import Sender
from rfx.go2.sport_client import SportCommands
from rfx.go2.topics import SportApi, SwitcherApi

STOPS = 5  # how often an emergency stop is sent


class EmergencyStop(SportCommands):
    """The part of :class:`rfx.go2.Go2` that stops everything."""

    _emergency: bool
    _letting_go: bool
    _motors: Order  # as `_order`, of low-level commands
    _out: threading.RLock  # type: ignore[valid-type]
    _sender: Sender | None

    @abc.abstractmethod
    def _brake_once(self, kd: float | None = None) -> None:
        """Publish one damping command."""

    def _stopped(self) -> bool:
        return self._emergency

    def _check_allowed(self) -> None:
        if self._letting_go:
            raise InvalidStateError("this Go2 is disconnected; connect again")
        if self._emergency:
            raise InvalidStateError("the emergency stop holds: nothing is sent until reset_emergency_stop()")

    @property
    def emergency_stopped(self) -> bool:
        """Whether the emergency stop holds."""
        return self._emergency

    def emergency_stop(self) -> None:
        """Damp at once, from any thread, and refuse every later command until :meth:`reset_emergency_stop`.

        After low-level commands damping is sent several times, and goes on being sent where the sender runs. The sport mode
        is told to damp as well, several times; where it drives the motors its answer is waited for then. Reading goes on.

        Raises
        ------
        RpcError, RfxTimeoutError
            The sport mode does not say that it damps. Everything was sent, and the emergency stop holds.
        """
        self._check_open()
        self._emergency = True
        self._order.stop("emergency_stop()", self._say_damp)
        self._motors.stop("emergency_stop()", self._brake_once)
        sender = self._sender
        if sender is not None:
            sender.damp("emergency stop")
        with self._out:  # what was on its way has left
            low_level = self._commanded
            for _ in range(STOPS if low_level else 0):
                with contextlib.suppress(Exception):  # whatever it is, the next one may get through
                    self._brake_once()
        self._keeper.rest()
        for _ in range(STOPS):
            with contextlib.suppress(Exception):
                self._say_damp()
        if sender is not None:
            sender.settle()
        if not low_level:
            self._ask(SportApi.DAMP)

    def _say_damp(self) -> None:
        self.rpc.send(topics.SPORT, SportApi.DAMP)

    def reset_emergency_stop(self) -> None:
        """Allow commands again; nothing is sent by it. A sender stays in damping until it is started again."""
        self._check_open()
        self._emergency = False

    # -- what the emergency stop keeps from the sport mode

    def _ask(self, api_id: int, timeout_s: float | None = None, **parameter: Any) -> str:
        if api_id != SportApi.DAMP:
            self._check_allowed()
        return super()._ask(api_id, timeout_s, **parameter)

    def _switch(self, api_id: int, **parameter: Any) -> str:
        if api_id != SwitcherApi.CHECK_MODE:
            self._check_allowed()
        return super()._switch(api_id, **parameter)
