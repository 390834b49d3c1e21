"""The GAN of `_gan`, trained by ExtraAdam as one writes it by hand in PyTorch (extra `torch`)."""

from collections.abc import Callable
from typing import Any

import torch  # pyright: ignore[reportMissingImports]
from torch import nn  # pyright: ignore[reportMissingImports]

from benchmarks._gan import BATCH, HIDDEN, LEARNING_RATE, WIDTH


def by_hand(steps: int) -> Callable[[], Any]:
    """So many steps of ExtraAdam, in eager mode with fused Adam, on a new batch each."""
    torch.manual_seed(0)
    generator, discriminator = _perceptron(2), _perceptron(1)
    parameters = [*generator.parameters(), *discriminator.parameters()]
    options: dict[str, Any] = dict(lr=LEARNING_RATE, betas=(0.5, 0.999), fused=True)
    optimizers = (
        torch.optim.Adam(generator.parameters(), **options),
        torch.optim.Adam(discriminator.parameters(), maximize=True, **options),
    )

    def payoff(noise: torch.Tensor, real: torch.Tensor) -> torch.Tensor:
        on_real, on_fake = discriminator(real), discriminator(generator(noise))
        return -nn.functional.softplus(-on_real).mean() - nn.functional.softplus(on_fake).mean()

    def move(noise: torch.Tensor, real: torch.Tensor) -> None:
        for optimizer in optimizers:
            optimizer.zero_grad(set_to_none=True)
        payoff(noise, real).backward()
        for optimizer in optimizers:
            optimizer.step()

    def train() -> torch.Tensor:
        for _ in range(steps):
            angle = 2 * torch.pi * torch.randint(8, (BATCH,)) / 8
            real = torch.stack([torch.cos(angle), torch.sin(angle)], dim=-1)
            noise = torch.randn(BATCH, 2)
            here = [parameter.detach().clone() for parameter in parameters]
            move(noise, real)
            # The gradient at the look ahead, and then back to where the step began.
            for optimizer in optimizers:
                optimizer.zero_grad(set_to_none=True)
            payoff(noise, real).backward()
            with torch.no_grad():
                torch._foreach_copy_(parameters, here)
            for optimizer in optimizers:
                optimizer.step()
        return parameters[0].detach()

    return train


def _perceptron(outputs: int) -> nn.Sequential:
    sizes = [2, *HIDDEN * [WIDTH]]
    layers = [
        layer
        for before, after in zip(sizes, sizes[1:], strict=False)
        for layer in (nn.Linear(before, after), nn.ReLU())
    ]
    return nn.Sequential(*layers, nn.Linear(sizes[-1], outputs))
