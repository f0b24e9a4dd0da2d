"""What an honest candidate does on its device: a product, a kernel that torch.compile makes, a step of training."""

import os

import torch

device = os.environ["AUTORESEARCH_DEVICE"]
a = torch.randn(512, 512, device=device)
assert torch.allclose((a @ torch.eye(512, device=device)).cpu(), a.cpu(), atol=1e-1)
compiled = torch.compile(lambda x: torch.nn.functional.gelu(x) * 2 + 1)
assert torch.allclose(compiled(a), torch.nn.functional.gelu(a) * 2 + 1, atol=1e-4)
model = torch.nn.Linear(512, 512, device=device)
optimizer = torch.optim.AdamW(model.parameters())
before = model(a).square().mean()
before.backward()
optimizer.step()
assert model(a).square().mean() < before
print("honest work done on", device, torch.cuda.get_device_name() if device.startswith("cuda") else "")
