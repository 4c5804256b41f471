"""One resumable training loop: AdamW, one cosine, an averaged copy of the weights, checkpoints without pickle.

A run lives in a folder: `checkpoint.safetensors` (weights, average, optimiser state; progress in its header),
`curve.csv` (minutes, iterations, loss, scores on held-out material). Starting it again continues where it stopped. The
schedule follows the minutes spent, so that a run ends when its budget does on any machine; they are the processor's
time a worker, so that other work on the machine, or a pause, costs the run nothing but patience.

On CPUs a small network keeps several cores busier as one batch a core than as one batch over all cores: a run takes one
loss function a worker thread, each computing on one core, and averages their gradients.
"""

from __future__ import annotations

import csv
import math
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from kernels.threads import set_threads


@dataclass(frozen=True)
class LoopConfig:
    minutes: float = 40.0
    rate: float = 2e-3
    warm_up: int = 200
    decay: float = 1e-4
    clip: float = 1.0
    average: float = 0.998  # of the averaged copy, per iteration
    save_every_s: float = 120.0
    score_every_s: float = 240.0
    seed: int = 1


class Run:
    """A training run in `folder`: model, averaged copy, optimiser, progress."""

    def __init__(self, model: nn.Module, folder: Path, config: LoopConfig) -> None:
        self.model, self.folder, self.config = model, folder, config
        self.optimiser = torch.optim.AdamW(
            model.parameters(), config.rate, weight_decay=config.decay, betas=(0.9, 0.98)
        )
        self.averaged = {name: p.detach().clone() for name, p in model.named_parameters()}
        self.iterations, self.seconds = 0, 0.0
        folder.mkdir(parents=True, exist_ok=True)
        if self.checkpoint.exists():
            self._restore()

    @property
    def checkpoint(self) -> Path:
        return self.folder / "checkpoint.safetensors"

    def save(self) -> None:
        """Writes the checkpoint beside the old one, then takes its place."""
        tensors = {f"model.{n}": p.detach() for n, p in self.model.named_parameters()}
        tensors |= {f"average.{n}": p for n, p in self.averaged.items()}
        for name, parameter in self.model.named_parameters():
            for key, value in self.optimiser.state.get(parameter, {}).items():
                tensors[f"optimiser.{key}.{name}"] = value.detach()
        part = self.checkpoint.with_suffix(".part")
        save_file(
            {n: t.contiguous().clone() for n, t in tensors.items()},
            part,
            {"iterations": str(self.iterations), "seconds": str(self.seconds)},
        )
        part.replace(self.checkpoint)

    def _restore(self) -> None:
        with safe_open(self.checkpoint, "pt") as file:
            header = file.metadata()
            self.iterations, self.seconds = int(header["iterations"]), float(header["seconds"])
            with torch.no_grad():
                for name, parameter in self.model.named_parameters():
                    parameter.copy_(file.get_tensor(f"model.{name}"))
                    self.averaged[name] = file.get_tensor(f"average.{name}")
                    state = {
                        k.split(".")[1]: file.get_tensor(k)
                        for k in file.keys()
                        if k.startswith("optimiser.") and k.split(".", 2)[2] == name
                    }
                    if state:
                        self.optimiser.state[parameter] = state

    def average_into(self, model: nn.Module) -> None:
        """Copies the averaged weights into a model of the same shape."""
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                parameter.copy_(self.averaged[name])

    def train(
        self,
        losses_of: Sequence[Callable[[np.random.Generator], Tensor]],
        score: Callable[[nn.Module], dict[str, float]],
        twin: nn.Module,
        say: Callable[[str], None] = print,
    ) -> dict[str, float]:
        """Minimises the mean of loss(rng) over the workers' losses until the minutes are spent.

        `twin` is a second model of the same shape that carries the averaged weights when they are scored. Returns the
        last
        scores.
        """
        threads, interval = torch.get_num_threads(), sys.getswitchinterval()
        torch.set_num_threads(1)
        # Workers hand the interpreter over after every operator; at the default of 5 ms they mostly wait for each
        # other.
        sys.setswitchinterval(2e-4)
        set_threads(1)
        try:
            with ThreadPoolExecutor(len(losses_of), initializer=torch.set_num_threads, initargs=(1,)) as workers:
                return self._train(losses_of, score, twin, say, workers)
        finally:
            torch.set_num_threads(threads)
            set_threads(threads)
            sys.setswitchinterval(interval)

    def _train(
        self,
        losses_of: Sequence[Callable[[np.random.Generator], Tensor]],
        score: Callable[[nn.Module], dict[str, float]],
        twin: nn.Module,
        say: Callable[[str], None],
        workers: ThreadPoolExecutor,
    ) -> dict[str, float]:
        config, learning = self.config, self._learning()
        losses: list[float] = []
        scored, saved = self.seconds, self.seconds
        scores: dict[str, float] = {}
        while self.seconds < config.minutes * 60:
            began = time.process_time()
            self._set_rate()
            jobs = [workers.submit(self._gradients, loss_of, worker) for worker, loss_of in enumerate(losses_of)]
            results = [job.result() for job in jobs]
            for parameter, *gradients in zip(learning, *(g for _, g in results), strict=True):
                parameter.grad = torch.stack(gradients).mean(0)
            norm = nn.utils.clip_grad_norm_(learning, config.clip)
            if torch.isfinite(norm):
                self.optimiser.step()
                self._average()
                losses.append(float(np.mean([loss for loss, _ in results])))
            self.iterations += 1
            self.seconds += (time.process_time() - began) / len(losses_of)
            last = self.seconds >= config.minutes * 60
            if last or self.seconds - scored > config.score_every_s:
                scored = self.seconds
                self.average_into(twin)
                scores = score(twin)
                self._log(float(np.mean(losses)) if losses else math.nan, scores, say)
                losses = []
            if last or self.seconds - saved > config.save_every_s:
                saved = self.seconds
                self.save()
        return scores

    def _gradients(
        self, loss_of: Callable[[np.random.Generator], Tensor], worker: int
    ) -> tuple[float, tuple[Tensor, ...]]:
        # Seeded by the iteration: a resumed run draws what the unbroken one would have drawn.
        loss = loss_of(np.random.default_rng((self.config.seed, self.iterations, worker)))
        return float(loss.detach()), torch.autograd.grad(loss, self._learning())

    def _learning(self) -> list[nn.Parameter]:
        """What learns: a recipe may have switched off the gradients of the rest."""
        return [parameter for parameter in self.model.parameters() if parameter.requires_grad]

    def _set_rate(self) -> None:
        progress = min(1.0, self.seconds / (self.config.minutes * 60))
        rate = self.config.rate * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * progress)))
        rate *= min(1.0, (self.iterations + 1) / self.config.warm_up)
        for group in self.optimiser.param_groups:
            group["lr"] = rate

    def _average(self) -> None:
        # A young average forgets its start quickly.
        keep = min(self.config.average, (1 + self.iterations) / (10 + self.iterations))
        with torch.no_grad():
            for name, parameter in self.model.named_parameters():
                self.averaged[name].lerp_(parameter, 1 - keep)

    def _log(self, loss: float, scores: dict[str, float], say: Callable[[str], None]) -> None:
        path = self.folder / "curve.csv"
        new = not path.exists()
        with path.open("a", newline="") as file:
            writer = csv.writer(file)
            if new:
                writer.writerow(["minutes", "iterations", "loss", *scores])
            writer.writerow(
                [f"{self.seconds / 60:.1f}", self.iterations, f"{loss:.4f}", *(f"{v:.3f}" for v in scores.values())]
            )
        text = "  ".join(f"{k} {v:.3f}" for k, v in scores.items())
        say(f"{self.seconds / 60:6.1f} min  {self.iterations:6d} iterations  loss {loss:.4f}  {text}")
