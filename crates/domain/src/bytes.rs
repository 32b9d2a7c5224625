//! Fixed layouts put together from their parts.

/// Puts `parts` into `place` one behind the other, as far as there is room.
pub fn fill(mut place: &mut [u8], parts: &[&[u8]]) {
    for part in parts {
        let Some((here, behind)) = place.split_at_mut_checked(part.len()) else { return };
        here.copy_from_slice(part);
        place = behind;
    }
}
