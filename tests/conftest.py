"""Makes the package ``fakes`` importable for every test below this folder."""
