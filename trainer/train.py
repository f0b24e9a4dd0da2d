"""
A small GPT, trained for a fixed budget. The one file that a researcher edits.

Everything here is fair game: architecture, optimiser, schedules, sizes. The rest of the lab is locked: lab.py
feeds the data and owns seed and clock, score.py computes val_bpb from the model's graph and weights.
The model maps token ids (batch, context) to logits (batch, context, vocabulary), and looks only back.
"""

import gc
import os
import time

T0 = time.monotonic()  # before torch's imports, which are part of the start-up
os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # threads that spin cost a shared CPU most of its speed

from contextlib import nullcontext
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from lab import Lab

# --- Dials ---------------------------------------------------------------------------------------------------
# One constant a line, so that a numeric researcher can turn them too (ranges: lab.yaml). Sizes multiply the
# profile of the device, further down.

EXTRA_LAYERS = 0  # transformer layers beyond the profile's
WIDTH_SCALE = 1.0  # model width, a multiple of the profile's
BATCH_SCALE = 1.0  # tokens in a step, a multiple of the profile's
MLP_RATIO = 4  # hidden width of an MLP, a multiple of the model's

MATRIX_LR = 0.03  # learning rate of the blocks' matrices (Muon)
EMBEDDING_LR = 0.3  # learning rate of token and value embeddings (AdamW), at width 768
HEAD_LR = 0.008  # learning rate of the output head (AdamW), at width 768
SCALAR_LR = 0.02  # learning rate of gates and residual scales (AdamW)
WEIGHT_DECAY = 0.1  # Muon's, decoupled; falls to 0 over the run
MOMENTUM = 0.95  # Muon's, from step 200 on; starts at 0.85
BETA1 = 0.8  # AdamW's first moment
BETA2 = 0.95  # AdamW's second moment
WARMUP = 0.0  # part of the budget in which learning rates rise
WARMDOWN = 0.6  # part of the budget in which learning rates fall
FINAL_LR = 0.0  # where they end, as a part of their peak
ROPE_BASE = 10000.0  # the slowest rotation, in positions


@dataclass(frozen=True)
class Profile:
    """Sizes that suit a device; everything else is one model at two scales."""

    layers: int
    width: int  # features a token
    head_width: int  # features an attention head
    batch_tokens: int  # tokens in an optimiser step


GPU = Profile(layers=8, width=512, head_width=128, batch_tokens=2**19)  # 24 to 141 GB
CPU = Profile(layers=2, width=128, head_width=32, batch_tokens=2**11)  # two cores, about a million parameters

# bf16 peak by name, FLOP/s, for mfu_percent
PEAK_FLOPS = {"B200": 2250e12, "H200": 989e12, "H100": 989e12, "A100": 312e12, "L40S": 362e12, "4090": 165e12}


# --- Model ---------------------------------------------------------------------------------------------------


def norm(x: Tensor) -> Tensor:
    return F.rms_norm(x, (x.size(-1),))


def linear(x: Tensor, weight: Tensor) -> Tensor:
    """Weights are kept in float32 for the optimiser; products run in the activations' type."""
    return F.linear(x, weight.to(x.dtype))


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotary position embedding of (batch, heads, context, head width)."""
    a, b = x.chunk(2, dim=-1)
    return torch.cat((a * cos - b * sin, a * sin + b * cos), dim=-1)


class Attention(nn.Module):
    """Causal attention with QK-norm; every other layer mixes a token's value embedding into its values."""

    GATE_FEATURES = 16  # features that decide how much of it

    def __init__(self, width: int, heads: int, value_embedding: nn.Embedding | None):
        super().__init__()
        self.heads = heads
        self.qkv = nn.Parameter(torch.empty(3, width, width))  # three matrices to Muon, one product here
        self.out = nn.Parameter(torch.empty(width, width))
        self.value_embedding = value_embedding
        self.gate = nn.Parameter(torch.empty(heads, self.GATE_FEATURES)) if value_embedding else None

    def forward(self, x: Tensor, tokens: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        batch, context, width = x.shape
        q, k, v = (
            linear(x, self.qkv.flatten(0, 1))
            .view(batch, context, 3, self.heads, width // self.heads)
            .permute(2, 0, 3, 1, 4)
            .unbind(0)
        )
        if self.value_embedding is not None:
            extra = self.value_embedding(tokens).to(x.dtype).view(batch, context, self.heads, -1).transpose(1, 2)
            gate = 2 * torch.sigmoid(linear(x[..., : self.GATE_FEATURES], self.gate))
            v = v + gate.transpose(1, 2).unsqueeze(-1) * extra
        q, k = norm(rotate(q, cos, sin)), norm(rotate(k, cos, sin))
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return linear(y.transpose(1, 2).reshape(batch, context, width), self.out)


class MLP(nn.Module):
    def __init__(self, width: int, hidden: int):
        super().__init__()
        self.up = nn.Parameter(torch.empty(hidden, width))
        self.down = nn.Parameter(torch.empty(width, hidden))

    def forward(self, x: Tensor) -> Tensor:
        return linear(F.relu(linear(x, self.up)).square(), self.down)


class GPT(nn.Module):
    """A decoder without biases or learned norms. `dtype` is that of the activations."""

    def __init__(self, vocabulary: int, context: int, layers: int, width: int, heads: int, dtype: torch.dtype):
        super().__init__()
        self.layers, self.width, self.heads, self.dtype = layers, width, heads, dtype
        self.embedding = nn.Embedding(vocabulary, width)
        value = [nn.Embedding(vocabulary, width) if layer % 2 == (layers - 1) % 2 else None for layer in range(layers)]
        self.attention = nn.ModuleList(Attention(width, heads, value[layer]) for layer in range(layers))
        self.mlp = nn.ModuleList(MLP(width, MLP_RATIO * width) for _ in range(layers))
        self.keep = nn.Parameter(torch.ones(layers))  # of the residual stream, at each layer's entry
        self.again = nn.Parameter(torch.full((layers,), 0.1))  # of the first embedding, likewise
        self.head = nn.Parameter(torch.empty(vocabulary, width))
        half = width // heads // 2
        angles = torch.outer(torch.arange(context).float(), ROPE_BASE ** (-torch.arange(half) / half))
        self.register_buffer("cos", angles.cos().to(dtype), persistent=False)
        self.register_buffer("sin", angles.sin().to(dtype), persistent=False)
        self.initialise()

    @torch.no_grad()
    def initialise(self) -> None:
        """Each block begins as the identity: what it adds to the stream is zero."""
        bound = (3 / self.width) ** 0.5  # uniform with the deviation 1/√width
        self.embedding.weight.normal_()
        self.head.normal_(std=0.001)
        for attention, mlp in zip(self.attention, self.mlp, strict=True):
            attention.qkv.uniform_(-bound, bound)
            attention.out.zero_()
            mlp.up.uniform_(-bound, bound)
            mlp.down.zero_()
            if attention.value_embedding is not None:
                attention.value_embedding.weight.uniform_(-bound, bound)
                attention.gate.zero_()

    def forward(self, tokens: Tensor) -> Tensor:
        first = x = norm(self.embedding(tokens).to(self.dtype))
        for layer, (attention, mlp) in enumerate(zip(self.attention, self.mlp, strict=True)):
            x = self.keep[layer].to(x.dtype) * x + self.again[layer].to(x.dtype) * first
            x = x + attention(norm(x), tokens, self.cos, self.sin)
            x = x + mlp(norm(x))
        return linear(norm(x), self.head).float()

    def matrices(self) -> list[Tensor]:
        """What Muon trains."""
        return [w for a, m in zip(self.attention, self.mlp, strict=True) for w in (a.qkv, a.out, m.up, m.down)]

    def size(self) -> int:
        return sum(parameter.numel() for parameter in self.parameters())

    def flops_per_token(self) -> int:
        """Forward and backward; attention as if it were not causal, as the field counts it."""
        products = sum(weight.numel() for weight in self.matrices()) + self.head.numel()
        return 6 * products + 12 * self.layers * self.width * self.cos.size(0)


# --- Optimisers ----------------------------------------------------------------------------------------------


def orthogonalise(g: Tensor) -> Tensor:
    """Newton–Schulz: (n, rows, columns) matrices to nearly orthogonal ones (Jordan et al. 2024, Muon)."""
    x = g.bfloat16() if g.is_cuda else g
    tall = x.size(-2) > x.size(-1)
    x = x.mT if tall else x
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(5):
        gram = x @ x.mT
        x = 3.4445 * x + (-4.7750 * gram + 2.0315 * gram @ gram) @ x
    return x.mT if tall else x


def muon_update(weights: Tensor, gradients: Tensor, velocity: Tensor, lr: Tensor, momentum: Tensor, decay: Tensor):
    """New weights of one stack of matrices; the velocity is updated in place."""
    velocity.lerp_(gradients, 1 - momentum)
    direction = orthogonalise(gradients.lerp(velocity, momentum))  # Nesterov
    scale = max(1.0, weights.size(-2) / weights.size(-1)) ** 0.5
    return weights * (1 - lr * decay) - lr * scale * direction


class Muon:
    """Momentum, orthogonalised, for matrices; those of one shape are stacked and updated together."""

    def __init__(self, weights: list[Tensor], compiled: bool):
        shapes = sorted({weight.shape[-2:] for weight in weights})
        self.groups = [[weight for weight in weights if weight.shape[-2:] == shape] for shape in shapes]
        self.velocity = [torch.zeros_like(self.stack(group)) for group in self.groups]
        self.update = torch.compile(muon_update, dynamic=False) if compiled else muon_update
        self.lr, self.momentum, self.decay = (torch.zeros(()) for _ in range(3))  # tensors: no recompilation

    @staticmethod
    def stack(tensors: list[Tensor]) -> Tensor:
        return torch.cat([tensor.view(-1, *tensor.shape[-2:]) for tensor in tensors])

    @torch.no_grad()
    def step(self) -> None:
        for group, velocity in zip(self.groups, self.velocity, strict=True):
            gradients = self.stack([weight.grad for weight in group])
            updated = self.update(self.stack(group), gradients, velocity, self.lr, self.momentum, self.decay)
            parts = updated.split([weight.numel() // weight[..., :, :].shape[-2:].numel() for weight in group])
            torch._foreach_copy_(group, [part.view_as(weight) for part, weight in zip(parts, group, strict=True)])

    def forget(self) -> None:
        for velocity in self.velocity:
            velocity.zero_()


class Optimiser:
    """Muon for the blocks' matrices, AdamW for the rest, and both schedules."""

    def __init__(self, model: GPT, compiled: bool):
        matrices = {id(weight) for weight in model.matrices()}
        embeddings = [module.weight for module in model.modules() if isinstance(module, nn.Embedding)]
        taken = matrices | {id(weight) for weight in embeddings} | {id(model.head)}
        scalars = [weight for weight in model.parameters() if id(weight) not in taken]
        scale = (model.width / 768) ** -0.5
        self.parameters = list(model.parameters())
        self.muon = Muon(model.matrices(), compiled)
        self.adamw = torch.optim.AdamW(
            [
                {"params": embeddings, "peak": EMBEDDING_LR * scale},
                {"params": [model.head], "peak": HEAD_LR * scale},
                {"params": scalars, "peak": SCALAR_LR},
            ],
            betas=(BETA1, BETA2),
            eps=1e-10,
            weight_decay=0.0,
            fused=True,
        )

    def step(self, progress: float, number: int) -> None:
        """`progress` from 0 to 1 through the budget, `number` of the step from 0."""
        rate = learning_rate(progress)
        for group in self.adamw.param_groups:
            group["lr"] = group["peak"] * rate
        warm = min(1.0, number / 200)
        self.muon.lr.fill_(MATRIX_LR * rate)
        self.muon.momentum.fill_(0.85 + warm * (MOMENTUM - 0.85))
        self.muon.decay.fill_(WEIGHT_DECAY * (1 - progress))
        self.adamw.step()
        self.muon.step()
        for parameter in self.parameters:
            parameter.grad = None

    def forget(self) -> None:
        self.adamw.state.clear()
        self.muon.forget()


def learning_rate(progress: float) -> float:
    """As a part of its peak: up, flat, down."""
    if progress < WARMUP:
        return progress / WARMUP
    if progress < 1 - WARMDOWN:
        return 1.0
    return FINAL_LR + (1 - FINAL_LR) * (1 - progress) / WARMDOWN


# --- Training ------------------------------------------------------------------------------------------------


class Trainer:
    """One optimiser step over a batch, in micro-batches that fit the device."""

    def __init__(self, model: GPT, rows: int, micro_rows: int, bos: int, compiled: bool):
        self.model, self.rows, self.micro_rows, self.bos = model, rows, micro_rows, bos
        self.loss = torch.compile(self.mean_loss, dynamic=False) if compiled else self.mean_loss
        self.optimiser = Optimiser(model, compiled)

    def mean_loss(self, x: Tensor, y: Tensor) -> Tensor:
        """BOS is not predicted: it stands for no text, and the scorer leaves it out."""
        return F.cross_entropy(self.model(x).flatten(0, 1), y.flatten(), ignore_index=self.bos)

    def step(self, x: Tensor, y: Tensor, progress: float, number: int) -> Tensor:
        parts = len(x) // self.micro_rows
        total = torch.zeros((), device=x.device)
        for part in range(parts):
            rows = slice(part * self.micro_rows, (part + 1) * self.micro_rows)
            loss = self.loss(x[rows], y[rows]) / parts
            loss.backward()
            total += loss.detach()
        self.optimiser.step(progress, number)
        return total

    def warm_up(self, x: Tensor, y: Tensor) -> None:
        """Compiles on made-up tokens before the clock starts, and leaves no trace in the weights."""
        before = [parameter.detach().clone() for parameter in self.model.parameters()]
        for number in range(3):
            self.step(x, y, 0.0, number)
        with torch.no_grad():
            for parameter, value in zip(self.model.parameters(), before, strict=True):
                parameter.copy_(value)
        self.optimiser.forget()
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()


def micro_rows(rows: int, context: int, device: torch.device) -> int:
    """Rows of a micro-batch: the most that memory holds (24 GB: 64 Ki tokens) and that divide the batch."""
    if device.type != "cuda":
        return rows
    tokens = 2730 * (torch.cuda.get_device_properties(device).total_memory >> 30)
    return max(part for part in range(1, rows + 1) if rows % part == 0 and part * context <= max(tokens, context))


def build(lab: Lab) -> tuple[GPT, Trainer]:
    """Model and trainer in the sizes of the device's profile."""
    cuda = lab.device.type == "cuda"
    profile = GPU if cuda else CPU
    heads = max(1, round(WIDTH_SCALE * profile.width / profile.head_width))
    model = GPT(
        vocabulary=lab.vocabulary,
        context=lab.context,
        layers=max(1, profile.layers + EXTRA_LAYERS),
        width=heads * profile.head_width,
        heads=heads,
        dtype=torch.bfloat16 if cuda else torch.float32,
    ).to(lab.device)
    rows = max(1, round(BATCH_SCALE * profile.batch_tokens / lab.context))
    return model, Trainer(model, rows, micro_rows(rows, lab.context, lab.device), lab.bos, compiled=cuda)


def main() -> None:
    lab = Lab.connect()
    cuda = lab.device.type == "cuda"
    # cuDNN's attention kernels were the fastest on Hopper; the others stand in where it cannot run.
    kernels = [SDPBackend.CUDNN_ATTENTION, SDPBackend.FLASH_ATTENTION, SDPBackend.MATH]
    with sdpa_kernel(kernels, set_priority=True) if cuda else nullcontext():
        model, trainer = build(lab)
        parameters = sum(parameter.numel() for parameter in model.parameters())
        print(
            f"{parameters / 1e6:.2f} M parameters, {trainer.rows} rows of {lab.context} tokens a step on {lab.device}"
        )
        if cuda:
            trainer.warm_up(*lab.synthetic(trainer.rows))
        lab.start(model)
        seconds = train(lab, trainer)
    lab.submit(model)
    summary(lab, model, trainer.rows * lab.context * lab.steps, seconds)


def train(lab: Lab, trainer: Trainer) -> float:
    """Trains until the budget is used up; returns the seconds that it took."""
    gc.collect()
    gc.freeze()
    gc.disable()  # a collection in the middle of a step stalls the GPU
    begun = said = time.monotonic()
    loss = None
    for x, y in lab.batches(trainer.rows):
        if loss is not None and time.monotonic() - said >= 5:
            said = time.monotonic()  # the step before this one is done or nearly: no wait worth naming
            print(f"step {lab.steps - 1:5d}  {100 * lab.progress():3.0f} %  loss {loss.item():.4f}", flush=True)
        loss = trainer.step(x, y, lab.progress(), lab.steps - 1)
        lab.report(loss)
    if lab.device.type == "cuda":
        torch.cuda.synchronize()
    gc.unfreeze()
    return time.monotonic() - begun


def summary(lab: Lab, model: GPT, tokens: int, seconds: float) -> None:
    """The field's block, without val_bpb: that is the scorer's to say."""
    cuda = lab.device.type == "cuda"
    name = torch.cuda.get_device_name(lab.device) if cuda else ""
    peak = next((flops for part, flops in PEAK_FLOPS.items() if part in name), None)
    achieved = model.flops_per_token() * tokens / seconds
    print("---")
    print(f"training_seconds: {seconds:.1f}")
    print(f"total_seconds:    {time.monotonic() - T0:.1f}")
    print(f"peak_vram_mb:     {torch.cuda.max_memory_allocated(lab.device) / 2**20 if cuda else 0:.1f}")
    print(f"mfu_percent:      {100 * achieved / peak if peak else 0:.2f}")
    print(f"total_tokens_M:   {tokens / 1e6:.1f}")
    print(f"num_steps:        {lab.steps}")
    print(f"num_params_M:     {model.size() / 1e6:.1f}")
    print(f"depth:            {model.layers}")


if __name__ == "__main__":
    main()
