//! Fixed layouts, put together from their parts and read from the front.

/// Puts `parts` into `place` one behind the other, as far as there is room.
pub fn fill(mut place: &mut [u8], parts: &[&[u8]]) {
    for part in parts {
        let Some((here, behind)) = place.split_at_mut_checked(part.len()) else { return };
        here.copy_from_slice(part);
        place = behind;
    }
}

/// What is left to read of some bytes.
#[derive(Debug, Clone, Copy)]
pub struct Reader<'a>(pub &'a [u8]);

impl<'a> Reader<'a> {
    /// The next `N` bytes, or nothing if there are fewer.
    pub fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*head)
    }

    /// The next `length` bytes, or nothing if there are fewer.
    pub fn slice(&mut self, length: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(head)
    }
}
