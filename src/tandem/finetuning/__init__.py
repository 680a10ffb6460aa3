"""Fine-tuning of encoders and cross-encoders on judgments. Needs the `neural` extra (torch);
what it writes is served without."""
