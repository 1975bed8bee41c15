"""Dynamic batching: images that arrive while a batch is being computed form the next batch."""

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager

import numpy as np

#: Largest batch for an engine without a batch size of its own.
LARGEST = 32


class Batcher:
    """Queue that accepts images one at a time and computes the outputs for all waiting images in one call.

    No image waits for others to arrive: a free worker takes all images in the queue, up to the maximum batch size. An
    engine that computes on the calling thread's core gets one worker per core. Any other engine gets a single worker.
    The output for an image does not depend on the other images in its batch.

    Args:
        engine: Function that maps uint8 pixels of shape `(n, height, width, 3)` to float32 outputs of shape
            `(n, outputs)` and has an attribute `batch_size`, such as the result of `tlkeras.runs.run.Run.make_engine`.
        compiled: Whether the engine compiles a program for each batch size. Batches are then padded to powers of two.
            Defaults to False.
    """

    def __init__(self, engine: Callable, compiled: bool = False):
        self._engine, self._compiled = engine, compiled
        self._workers = (os.cpu_count() or 1) if engine.batch_size else 1
        self._largest = engine.batch_size or LARGEST
        self._waiting: asyncio.Queue = asyncio.Queue()
        self._tasks: list[asyncio.Task] = []

    @asynccontextmanager
    async def running(self):
        """Run the workers inside an `async with` block."""
        with ThreadPoolExecutor(self._workers) as pool:
            self._tasks = [asyncio.create_task(self._work(pool)) for _ in range(self._workers)]
            try:
                yield self
            finally:
                for task in self._tasks:
                    task.cancel()
                await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def alive(self) -> bool:
        """Whether all workers are running."""
        return bool(self._tasks) and not any(task.done() for task in self._tasks)

    async def answer(self, pixels: np.ndarray) -> np.ndarray:
        """Compute the outputs for one image.

        Args:
            pixels: uint8 array of shape `(height, width, 3)`.

        Returns:
            float32 array of shape `(outputs,)`.
        """
        answer = asyncio.get_running_loop().create_future()
        self._waiting.put_nowait((pixels, answer))
        return await answer

    async def _work(self, pool):
        """Take batches from the queue and compute their outputs until canceled."""
        loop = asyncio.get_running_loop()
        while True:
            batch = [await self._waiting.get()]
            while len(batch) < self._largest and not self._waiting.empty():
                batch.append(self._waiting.get_nowait())
            batch = [(pixels, answer) for pixels, answer in batch if not answer.cancelled()]
            if not batch:
                continue
            try:
                rows = await loop.run_in_executor(pool, self._compute, [pixels for pixels, _ in batch])
            except Exception as error:  # only these requests fail; the next batch may succeed
                rows = [error] * len(batch)
            for (_, answer), row in zip(batch, rows, strict=True):
                if answer.cancelled():
                    continue
                if isinstance(row, Exception):
                    answer.set_exception(row)
                else:
                    answer.set_result(row)

    def _compute(self, images):
        """Compute the outputs for a list of images."""
        pixels = np.stack(images)
        if self._compiled:
            missing = (1 << (len(images) - 1).bit_length()) - len(images)
            pixels = np.pad(pixels, [(0, missing), (0, 0), (0, 0), (0, 0)])
        return self._engine(pixels)[: len(images)]
