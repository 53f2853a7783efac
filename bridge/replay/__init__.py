"""Dead letters: read them, group them by what is wrong, and send them again. Nothing here deletes or changes one."""
