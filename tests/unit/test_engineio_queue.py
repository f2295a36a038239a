"""The queue between a shell and a page that may be slow."""

import asyncio

import pytest

from gateway.bounded_queue import BoundedQueue


async def test_what_goes_in_comes_out_in_order():
    queue: BoundedQueue[str] = BoundedQueue(100)
    for item in "abc":
        await queue.put(item, 1)

    assert queue.take() == "a"
    assert queue.take_all() == ["b", "c"]
    assert queue.held == 0
    with pytest.raises(IndexError):
        queue.take()


async def test_who_puts_waits_for_room():
    queue: BoundedQueue[str] = BoundedQueue(10)
    await queue.put("first", 10)
    second = asyncio.create_task(queue.put("second", 10))
    await asyncio.sleep(0)
    assert queue.held == 10

    assert queue.take() == "first"
    await second
    assert queue.take() == "second"


async def test_what_is_small_and_seldom_needs_no_room():
    queue: BoundedQueue[str] = BoundedQueue(1)
    await queue.put("large", 10)
    queue.put_now("small")

    assert queue.take_all() == ["large", "small"]


async def test_who_takes_waits_for_something():
    queue: BoundedQueue[str] = BoundedQueue(10)
    waiting = asyncio.create_task(queue.wait())
    await asyncio.sleep(0)
    assert not waiting.done()

    await queue.put("x", 1)
    await waiting
    assert not queue.exhausted


async def test_nobody_waits_after_the_end():
    queue: BoundedQueue[str] = BoundedQueue(1)
    await queue.put("rest", 1)
    putting = asyncio.create_task(queue.put("too late", 1))
    await asyncio.sleep(0)
    queue.close()
    await putting
    queue.put_now("too late as well")

    assert not queue.exhausted
    assert queue.take_all() == ["rest"]
    assert queue.exhausted
    await queue.wait()
