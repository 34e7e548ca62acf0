"""What the end-to-end tests start and talk to: one module a thing, no state shared between tests."""
