"""Who touches what, when: detected in the image (`detect`), judged by the body (`stance`), used (`foot_lock`)."""
