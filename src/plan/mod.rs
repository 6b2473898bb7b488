//! Turns stages, arguments and base configs into steps.
