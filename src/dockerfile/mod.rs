//! Turns the text of a Dockerfile into typed stages with spans, or into diagnostics.
