"""Files, secrets and configs that services mount: on the laptop, on machines, in containers."""
