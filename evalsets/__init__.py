"""What "good" means: cases, metrics, runs, comparisons, reports."""
