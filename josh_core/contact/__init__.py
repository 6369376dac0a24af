"""Who touches what, when: detected in the image (`detect`), feet by phases (`stance_phases`), used (`foot_lock`)."""
