"""What may be known about people: pseudonyms, masking of personal data, admission of events."""
