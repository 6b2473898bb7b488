//! Compose files: what is made of each, what docker-compose makes of it, and what is said of wrong ones.

mod build;
mod case;
mod cases;
mod places;
mod said;
mod secrets;
mod wrong;
