"""The machine at hand: what it is, how many threads pay on it, what energy it says it took."""
