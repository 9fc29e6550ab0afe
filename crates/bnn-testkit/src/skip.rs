//! Tests that this machine cannot run: said aloud, and refused where the caller requires them.

/// Prints `SKIPPED what: why`, for a device or instruction set that this machine lacks.
///
/// # Panics
/// If the environment variable `BNN_REQUIRE`, a list with commas such as `avx512,cuda`, names `what`.
pub fn skipped(what: &str, why: &str) {
    let required = std::env::var("BNN_REQUIRE").unwrap_or_default();
    assert!(!names(&required, what), "BNN_REQUIRE lists {what}, but it is not available: {why}");
    println!("SKIPPED {what}: {why}");
}

/// Whether a list with commas names `what`.
fn names(list: &str, what: &str) -> bool {
    list.split(',').any(|name| name.trim() == what)
}

#[cfg(test)]
mod tests {
    use super::names;

    #[test]
    fn a_list_names_whole_words() {
        assert!(names("avx512, cuda", "cuda"));
        assert!(!names("avx512", "avx5"));
        assert!(!names("", "cuda"));
    }
}
