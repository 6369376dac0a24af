"""The hub tier: stages that run the paper's networks (MASt3R, JOSH3R). Nothing is imported here, to stay quick."""
