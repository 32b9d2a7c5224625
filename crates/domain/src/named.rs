//! One name for each variant, and the list of all names, from one table.

/// Inside an `impl`: a method that gives the name of a variant, and a constant with all names in the same order. Written
/// once, so that no list can forget a variant.
macro_rules! named {
    ($all:ident, $name:ident(self), $doc:literal, $($kind:pat => $text:literal,)*) => {
        named!(@list $all, $doc, $($text,)*);

        #[doc = $doc]
        pub const fn $name(self) -> &'static str {
            match self { $($kind => $text,)* }
        }
    };
    ($all:ident, $name:ident(&self), $doc:literal, $($kind:pat => $text:literal,)*) => {
        named!(@list $all, $doc, $($text,)*);

        #[doc = $doc]
        pub const fn $name(&self) -> &'static str {
            match self { $($kind => $text,)* }
        }
    };
    (@list $all:ident, $doc:literal, $($text:literal,)*) => {
        #[doc = concat!("All of these: ", $doc)]
        pub const $all: [&'static str; [$($text),*].len()] = [$($text),*];
    };
}
