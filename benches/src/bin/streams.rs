//! The measured jobs in one binary: `streams --job word_count --source lines=…`.

use dstream_bench::streams::{
    csv_sum, grep, send_times, top_k_window, word_count, word_count_both, word_count_window,
};

dstream::main!(
    grep,
    word_count,
    word_count_window,
    word_count_both,
    top_k_window,
    csv_sum,
    send_times
);
