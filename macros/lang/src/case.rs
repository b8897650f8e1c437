//! Names of types and names of values.

/// `n` → `N`, `batch_size` → `BatchSize`
pub fn capitals(name: &str) -> String {
    let words = name.split('_').filter(|word| !word.is_empty());
    let words = words.map(|word| {
        let mut letters = word.chars();
        letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
    });
    words.collect()
}

/// `FlowMatching` → `flow_matching`
pub fn snake_case(name: &str) -> String {
    let letters: Vec<char> = name.chars().collect();
    let mut snake = String::new();
    for (i, letter) in letters.iter().enumerate() {
        let after_small = i > 0 && !letters[i - 1].is_uppercase() && letters[i - 1] != '_';
        let before_small = i > 0 && letters.get(i + 1).is_some_and(|next| next.is_lowercase());
        if letter.is_uppercase() && (after_small || (before_small && letters[i - 1] != '_')) {
            snake.push('_');
        }
        snake.extend(letter.to_lowercase());
    }
    snake
}

#[cfg(test)]
mod tests {
    use super::snake_case;

    #[test]
    fn names_become_labels() {
        assert_eq!(snake_case("Mlp"), "mlp");
        assert_eq!(snake_case("FlowMatching"), "flow_matching");
        assert_eq!(snake_case("ResNet18"), "res_net18");
        assert_eq!(snake_case("MLP"), "mlp");
        assert_eq!(snake_case("VAEDecoder"), "vae_decoder");
    }
}
