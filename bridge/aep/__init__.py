"""Carries batch requests to Adobe Experience Platform."""
