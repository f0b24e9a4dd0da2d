"""What a model computes is what the scorer computes: export → JSON → rebuild gives difference 0."""

import json

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import graph
import ops

CPU = torch.device("cpu")
V, T, W = 50, 24, 32


def rebuilt(model: nn.Module) -> torch.fx.GraphModule:
    exported = graph.export_graph(model, T, CPU)
    state = {**dict(model.named_buffers()), **dict(model.named_parameters(remove_duplicate=False))}
    parsed = graph.Graph.parse(exported.document)
    return parsed.module({name: state.get(name, exported.constants.get(name)) for name in parsed.weights}, CPU)


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(V, W)
        self.head = nn.Linear(W, V, bias=False)
        self.head.weight = self.embedding.weight

    def forward(self, x):
        return self.head(F.layer_norm(self.embedding(x), (W,)))


class Rotary(Tied):
    def __init__(self):
        super().__init__()
        angles = torch.outer(torch.arange(T).float(), 100.0 ** (-torch.arange(W // 4) / 8))
        self.register_buffer("cos", angles.cos(), persistent=False)
        self.sin = angles.sin()  # a plain attribute: lifted as a constant

    def forward(self, x):
        h = self.embedding(x).view(*x.shape, 2, W // 2).transpose(1, 2)
        a, b = h.chunk(2, -1)
        h = torch.cat((a * self.cos - b * self.sin, a * self.sin + b * self.cos), -1)
        y = F.scaled_dot_product_attention(h, h, h, is_causal=True)
        return self.head(y.transpose(1, 2).flatten(2))


class Windowed(Tied):
    def forward(self, x):
        h = self.embedding(x).unsqueeze(1)
        near = torch.ones(T, T, dtype=torch.bool, device=x.device).tril().triu(-4)
        bias = torch.where(near, 0.0, -torch.inf)
        y = F.scaled_dot_product_attention(h, h, h, attn_mask=near) + F.scaled_dot_product_attention(h, h, h, bias)
        return self.head(y.squeeze(1))


class MixtureOfExperts(Tied):
    def __init__(self):
        super().__init__()
        self.router = nn.Linear(W, 4)
        self.experts = nn.Parameter(torch.randn(4, W, W) / W)

    def forward(self, x):
        h = self.embedding(x).reshape(-1, W)
        weights, chosen = self.router(h).softmax(-1).topk(2)
        out = torch.zeros_like(h)
        everyone = torch.arange(h.shape[0], device=h.device)
        for expert in range(4):
            share = torch.where(chosen == expert, weights, 0.0).sum(-1, keepdim=True)
            out = out.index_add(0, everyone, share * (h @ self.experts[expert]))
        return self.head(out.view(*x.shape, W))


class Recurrent(Tied):
    def __init__(self, kind):
        super().__init__()
        self.recurrent = kind(W, W, num_layers=2, batch_first=True, dropout=0.1)

    def forward(self, x):
        return self.head(self.recurrent(self.embedding(x))[0])


class Convolution(Tied):
    def __init__(self):
        super().__init__()
        self.convolution = nn.Conv1d(W, W, 3, groups=2)
        self.dropout = nn.Dropout(0.5)

    def forward(self, x):
        h = F.pad(self.embedding(x).transpose(1, 2), (2, 0))
        return self.head(self.dropout(F.gelu(self.convolution(h)).transpose(1, 2)))


class Einsum(Tied):
    def __init__(self):
        super().__init__()
        self.mix = nn.Parameter(torch.randn(T, T).tril())

    def forward(self, x):
        h = torch.einsum("btw,st->bsw", self.embedding(x), self.mix.tril())
        return self.head(h.cumsum(1) / torch.arange(1, T + 1, device=x.device).view(1, -1, 1)).clamp(-9, 9)


class LowPrecision(Tied):
    def forward(self, x):
        h = self.embedding(x).to(torch.bfloat16)
        return (torch.empty_like(h).fill_(1) * h).float() @ self.head.weight.T


MODELS = {
    "tied": Tied,
    "rotary": Rotary,
    "windowed": Windowed,
    "experts": MixtureOfExperts,
    "gru": lambda: Recurrent(nn.GRU),
    "lstm": lambda: Recurrent(nn.LSTM),
    "convolution": Convolution,
    "einsum": Einsum,
    "low precision": LowPrecision,
}


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("batch", [1, 2, 7])
def test_rebuilt_is_equal(name: str, batch: int, modules: dict) -> None:
    model, module = modules[name]
    tokens = torch.randint(V, (batch, T), generator=torch.Generator().manual_seed(batch))
    with torch.no_grad():
        assert torch.equal(module(tokens), model(tokens))


@pytest.fixture(scope="module")
def modules() -> dict:
    """Each model with its rebuilt form."""
    torch.manual_seed(0)
    made = {}
    for name, make in MODELS.items():
        model = make().train()
        module = rebuilt(model)
        assert model.training  # left as it was
        made[name] = (model.eval(), module)
    return made


def test_the_document_is_strict_json_without_addresses_of_python() -> None:
    exported = graph.export_graph(Windowed(), T, CPU)
    json.loads(exported.document, parse_constant=lambda text: pytest.fail(f"{text} is not JSON"))
    assert b"torch" not in exported.document
    assert b"conftest" not in exported.document


class Mutating(Tied):
    def __init__(self):
        super().__init__()
        self.register_buffer("count", torch.zeros(()))

    def forward(self, x):
        self.count += 1
        return self.head(self.embedding(x)) + self.count


class Noisy(Tied):
    def forward(self, x):
        return self.head(self.embedding(x)) + torch.rand(V, device=x.device)


class TwoOutputs(Tied):
    def forward(self, x):
        return self.embedding(x), self.head(self.embedding(x))


class Branching(Tied):
    def forward(self, x):
        h = self.embedding(x)
        return self.head(h if h.sum().item() > 0 else -h)


@pytest.mark.parametrize(
    ("model", "says"),
    [
        (Mutating, "changes its own state"),
        (Noisy, "random"),
        (TwoOutputs, "expected the logits alone"),
        (Branching, "could not be exported"),
    ],
)
def test_what_cannot_be_handed_in_is_named(model: type[nn.Module], says: str) -> None:
    with pytest.raises(graph.GraphError, match=says):
        graph.export_graph(model(), T, CPU)


def test_no_allowed_op_changes_a_tensor_or_is_missing() -> None:
    for op in ops.ALLOWED:
        _, packet, overload = op.split(".")
        function = getattr(getattr(torch.ops.aten, packet), overload)
        assert not function._schema.is_mutable, op
        assert torch.Tag.nondeterministic_seeded not in function.tags or packet in (
            "scaled_dot_product_attention",
            "gru",
            "lstm",
            "rnn_tanh",
            "rnn_relu",
        ), op


def test_a_compiled_model_is_unwrapped() -> None:
    model = Tied()
    exported = graph.export_graph(torch.compile(model), T, CPU)
    assert set(exported.kinds) <= set(dict(model.named_parameters(remove_duplicate=False)))
