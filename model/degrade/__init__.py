"""What happens to speech before it reaches us: low rates, filters, telephones, noise, level."""
