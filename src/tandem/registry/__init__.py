"""What went live when, by whom, why and on what evidence; and what was served with it."""
