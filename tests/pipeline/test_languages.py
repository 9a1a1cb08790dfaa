"""A language is told from a question's few words; too little says nothing."""

from __future__ import annotations

import pytest

from pipeline.text.languages import language


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("How do I change the wallpaper?", "en"),
        ("Wie ändere ich den Bildschirmhintergrund?", "de"),
        ("Wo finde ich die Einstellungen für den Drucker?", "de"),
        ("Comment changer le fond d'écran ?", "fr"),
        ("Où sont mes fichiers supprimés ?", "fr"),
        ("¿Cómo activo el modo avión?", "es"),
        ("como cambio la contraseña de mi cuenta", "es"),
        ("Como posso mudar a senha da minha conta?", "pt"),
        ("Come posso cambiare lo sfondo dello schermo?", "it"),
        ("Hoe verander ik mijn wachtwoord?", "nl"),
        ("如何更改壁纸？", "zh"),
        ("壁紙を変更するにはどうすればいいですか", "ja"),
        ("Как изменить обои?", "ru"),
        ("كيف أغير الخلفية؟", "ar"),
        ("Milloin kuoro harjoittelee?", "fi"),
        ("Missä kuoro harjoittelee ja paljonko jäsenyys maksaa?", "fi"),
        ("Hvornår øver koret?", "da"),
        ("Kan jeg ta med hund?", "da"),
        ("Hva koster et sesongkort?", "no"),
        ("Kde je tiskárna?", "cs"),
        ("Mikor próbál a kórus?", "hu"),
        ("Unde este imprimanta?", "ro"),
        ("Коли репетирує хор?", "uk"),
        ("کتابخانه چه زمانی می‌بندد؟", "fa"),
        ("Khi nào dàn hợp xướng tập?", "vi"),
        ("Di mana printer?", "id"),
        ("Comment fields in a form", "en"),
        ("comment syntax", None),
        ("wallpaper", None),
        ("Bounce Keys", None),
        ("👏", None),
        ("", None),
        ("E-104", None),
    ],
)
def test_language(text: str, code: str | None) -> None:
    assert language(text) == code
