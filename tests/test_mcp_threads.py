"""What the MCP server waits for: a cancellation comes out as one, whatever it meets on its way."""

import asyncio

import pytest

pytest.importorskip("mcp", reason="mcp is not installed")

import anyio

from rfx.skills.mcp_threads import shielded


async def fails_when_cancelled():
    async def hand_on():
        try:
            await anyio.sleep(60)
        finally:
            raise anyio.BrokenResourceError

    async with anyio.create_task_group() as group:
        group.start_soon(hand_on)


def test_a_cancellation_comes_out_as_one_though_a_task_fails_over_it():
    async def main(func):
        task = asyncio.ensure_future(func())
        await asyncio.sleep(0.01)
        task.cancel()
        await task

    with pytest.raises(BaseExceptionGroup):  # without the shield: what hid the interrupt
        asyncio.run(main(fails_when_cancelled))
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(main(lambda: shielded(fails_when_cancelled)))


def test_a_result_and_an_error_come_through_the_shield():
    async def gives():
        await asyncio.sleep(0)
        return 7

    async def fails():
        await asyncio.sleep(0)
        raise BrokenPipeError("gone")

    assert asyncio.run(shielded(gives)) == 7
    with pytest.raises(BrokenPipeError, match="gone"):
        asyncio.run(shielded(fails))


def test_what_is_shielded_has_ended_when_the_cancellation_comes_out():
    ended = []

    async def tidies():
        try:
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0.01)
            ended.append(True)

    async def main():
        task = asyncio.ensure_future(shielded(tidies))
        await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
        assert ended == [True]

    asyncio.run(main())
