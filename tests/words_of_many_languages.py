"""Brands and common words of several scripts, by the language of the copy they would be banned from."""

WORDS = {
    "en": "Black Clean Glow iGlow Ian Iowa AIR MAIL lamp Illy Lilliput Lululemon Nike Adidas Puma Reebok Sony"
    " Philips Samsung iPhone iPad MacBook YouTube TikTok eBay PayPal LinkedIn WhatsApp GoPro Fitbit Garmin"
    " Bosch Makita DeWalt Dyson Miele Braun Oral-B Coca-Cola Pepsi Sprite Fanta Heinz Kellogg's McDonald's"
    " Levi's Wrangler H&M C&A AT&T M&M's Johnson&Johnson Marks Spencer Walmart Target Costco Tesco Aldi Lidl"
    " IKEA Wayfair Etsy Amazon Alibaba Shopify FedEx DHL Uber Lyft Bolt Airbnb Tesla Volvo Audi Kia Fiat 3M"
    " 7-Eleven Forever21 Xbox PlayStation cheap bargain budget discount free sale deal luxury premium best"
    " miracle cure detox organic natural vegan gluten sugar salt oil all ill lily lull hill little Bill Al-ko"
    " slim plus XXL USB HDMI WiFi LED OLED",
    "es": "Zara Mango Mercadona barato oferta ganga gratis rebajas niño señora cálido máquina Movistar",
    "fr": "Carrefour Décathlon L'Oréal Garnier soldes gratuit bradé promo été façon crème hélas Citroën",
    "de": "Müller Rossmann Edeka Jägermeister günstig billig Rabatt Straße Größe Schnäppchen Haribo Würth",
    "pt": "Havaianas Natura Boticário barato promoção grátis maçã café ilusão Itaú pão",
    "it": "Barilla Lavazza Illycaffè Ferrari sconto economico gratis qualità perché olio",
    "nl": "Philips Albert Heijn goedkoop gratis korting ijs ijzer Gouda",
    "pl": "Żabka Allegro Łódź tani promocja gratis zniżka źródło ćma świeży",
    "sv": "Ericsson Hästens billig rea gratis älg öl åtta",
    "da": "Carlsberg Tuborg Ørsted Mærsk billig tilbud smørrebrød",
    "tr": "Beko Arçelik ucuz indirim bedava İstanbul ışık şeker çay",
    "cs": "Škoda Kofola levný sleva zdarma řeka žluťák",
    "hu": "Tokaj olcsó akció ingyen őszi űrhajó",
    "ro": "Dacia ieftin reducere țuică șapte",
    "vi": "Vinamilk Điện giảm miễn phí đường",
    "ru": "Яндекс Сбербанк Лукойл Билайн Магнит дешёвый скидка акция бесплатно йогурт ёлка подъезд чудо мир",
    "uk": "Рошен Київстар дешевий знижка їжак єнот ґанок",
    "bg": "Загорка евтино отстъпка безплатно",
    "el": "Φάρος Όλυμπος φθηνό προσφορά δωρεάν έκπτωση ήλιος",
    "ar": "مرسيدس أديداس رخيص مجاني خصم عرض تخفيض قهوة شاي",
    "fa": "دیجیکالا ارزان رایگان تخفیف چای پژو گران",
    "he": "אסם תנובה זול חינם מבצע הנחה",
    "hi": "सस्ता मुफ़्त छूट ऑफ़र पतंजलि अमूल टाटा",
    "bn": "সস্তা বিনামূল্যে ছাড় আড়ং",
    "th": "ถูก ลดราคา สิงห์ ช้าง โปรโมชั่น",
    "ja": "激安 無料 割引 トヨタ ソニー ユニクロ ニンテンドー 資生堂 お買い得",
    "zh-Hans": "便宜 免费 打折 华为 小米 茅台酒 淘宝网 优惠券",
    "ko": "삼성 현대 무료 할인 저렴 세일 엘지전자",
}
"""Several hundred words; those under three letters are listed for reading, not for the evasions."""
