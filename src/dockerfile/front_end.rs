//! Which front ends read another language than the one of this room.

/// Repositories of front ends that read what this room reads itself.
const OWN: [&str; 2] = ["docker/dockerfile", "docker/dockerfile-upstream"];
/// No more characters of a name are told.
const MAX_TOLD: usize = 100;

/// The repository of a front end image, as `# syntax=` or `BUILDKIT_SYNTAX` name it, if it is not Docker's: its
/// language may be another one. At most 100 characters of it.
pub fn foreign_front_end(image: &str) -> Option<String> {
    let name = image.trim().split(['@', ' ']).next().unwrap_or_default();
    let name = name.strip_prefix("docker.io/").unwrap_or(name);
    let repository = match name.rsplit_once(':') {
        Some((repository, tag)) if !tag.contains('/') => repository,
        _ => name,
    };
    let is_foreign = !repository.is_empty() && !OWN.contains(&repository);
    is_foreign.then(|| repository.chars().take(MAX_TOLD).collect())
}
