//! WORKDIR: a folder that must be there.

use super::bring::{depend_on_users, resolve_owner};
use super::place::{Changes, Placer};
use crate::build::error::Problem;
use crate::build::request::Times;
use crate::build::step::{Current, Done, Found};
use crate::cache::{Ingredient, Ingredients};
use crate::layer::{self, Content};
use crate::plan::{Workdir, names_somebody};

/// Looks a WORKDIR up, or makes its layer: the folders that are missing, owned by the user. As in BuildKit there is a layer
/// even if none are.
pub(in crate::build) fn workdir(current: &Current<'_>, workdir: &Workdir) -> Result<Done, Problem> {
    let Workdir { path, user } = workdir;
    let mut ingredients = Ingredients::new("workdir");
    ingredients.setting("the folder", path.clone());
    ingredients.setting("the user", user.clone());
    ingredients.setting("--timestamps", current.session.request.times.name());
    if current.session.request.times == Times::Preserve {
        // The layer repeats the times of the folders above.
        ingredients.push(Ingredient::Parent(current.rootfs.chain()));
    }
    let (reason, _lock) = match current.find(&ingredients)? {
        Found::Hit(done) => return Ok(*done),
        Found::Miss(reason, lock) => (reason, lock),
    };
    let store = current.session.engine.store;
    let owner = match user.as_str() {
        "" => None,
        user => Some(resolve_owner(current, user)?),
    };
    let lower = Some(current.rootfs.stack(store)?);
    let mut placer: Placer<'_, Content> = Placer::new(lower, Changes { owner, chmod: None });
    if names_somebody(user) {
        depend_on_users(&mut placer)?;
    }
    placer.make_folder(path.as_bytes())?;
    let (entries, facts) = placer.finish();
    let entries = entries.into_iter().map(|(entry, content)| (entry, content.unwrap_or(Content::None))).collect();
    let layer = layer::write_layer(store, entries, current.session.request.times.of_copies(), current.form)?;
    current.keep(&ingredients, facts, layer, reason)
}
