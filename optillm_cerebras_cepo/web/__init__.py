"""The page of `serve --page`: its files, and the texts of models as HTML."""
