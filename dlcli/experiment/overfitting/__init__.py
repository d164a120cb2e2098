"""Parts of `dlcli build --overfit-batch`: what is switched off, the steps, what the batch allows, why it failed."""
